"""Graphviz, called in this process, without what its fonts have to say of the machine's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

import pygraphviz

__all__ = ["laid_out", "rendered"]


def laid_out(graph: pygraphviz.AGraph) -> None:
    """Give the nodes, edges and clusters of a graph their places, by `dot`."""
    with _without_font_warnings():
        graph.layout(prog="dot")


def rendered(graph: pygraphviz.AGraph, form: str) -> bytes:
    """A graph whose nodes and edges have places, as svg, png or pdf."""
    with _without_font_warnings():
        drawn: bytes = graph.draw(format=form, prog="nop2")
    return drawn


@contextmanager
def _without_font_warnings() -> Iterator[None]:
    """Keep back what fontconfig writes about settings that are newer than itself; pass the rest on."""
    sys.stderr.flush()
    real = os.dup(2)
    with TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            said.seek(0)
            rest = [line for line in said.read().splitlines() if not line.startswith(b"Fontconfig warning")]
            if rest:
                os.write(2, b"\n".join(rest) + b"\n")

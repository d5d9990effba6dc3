"""Graphviz, called in this process, without what its fonts have to say of the machine's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

import pygraphviz

__all__ = ["laid_out", "rendered"]


_KNOWN = (b"Fontconfig warning", b"layout may take a long time")
"""Said of settings that are newer than the fonts' code, and of graphs that have their places already."""


def laid_out(graph: pygraphviz.AGraph) -> None:
    """Give the nodes, edges and clusters of a graph their places, by `dot`."""
    with _without_idle_warnings():
        graph.layout(prog="dot")


def rendered(graph: pygraphviz.AGraph, form: str) -> bytes:
    """A graph whose nodes and edges have places, as svg, png or pdf."""
    with _without_idle_warnings():
        drawn: bytes = graph.draw(format=form, prog="nop2")
    return drawn


@contextmanager
def _without_idle_warnings() -> Iterator[None]:
    """Keep back what is known to mean nothing; pass the rest on."""
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
            lines = said.read().splitlines()
            rest = [line for line in lines if not any(known in line for known in _KNOWN)]
            if rest:
                os.write(2, b"\n".join(rest) + b"\n")

"""Static pictures: a scene as a Graphviz graph whose boxes and wires have their places already."""

from __future__ import annotations

from collections.abc import Sequence

import pygraphviz

from kdgraph.draw import colours
from kdgraph.draw.boxes import Box, node_key
from kdgraph.draw.compose import label_of
from kdgraph.draw.curves import rounded, with_tip
from kdgraph.draw.grid import Rect
from kdgraph.draw.insides import NODE_HEIGHT, Inside
from kdgraph.draw.lanes import band_name, band_stride
from kdgraph.draw.routes import Point
from kdgraph.draw.scene import MIDDLE, Detail, Pair, Scene
from kdgraph.draw.terms import Mark
from kdgraph.draw.text import Line, bold, html, pale, plain
from kdgraph.draw.words import cost, details, heading, lines, measures
from kdgraph.graph.names import is_raw

__all__ = ["dot_of"]

FONT = "Helvetica,Arial,sans-serif"
_INCH = 72
_FOOT = 34.0
"""Room for the legend."""


def dot_of(scene: Scene, detail: Detail) -> pygraphviz.AGraph:
    """The graph of a scene at one level of detail; `nop2` draws it as it stands."""
    return _Drawing(scene, detail).draw()


class _Drawing:
    """Adds the boxes of a view from the back to the front. Graphviz counts heights from below."""

    def __init__(self, scene: Scene, detail: Detail) -> None:
        self.scene, self.view, self.open = scene, scene.views[detail], detail == "nodes"
        self.width = self.view.plane.width
        self.height = self.view.height + (_FOOT if scene.marks else 12.0)
        self.graph = pygraphviz.AGraph(
            name=scene.title, directed=True, strict=False, outputorder="nodesfirst", splines="true",
            pad="0.15", bgcolor="white", fontname=FONT, bb=f"0,0,{self.width:.0f},{self.height:.0f}",
            tooltip=scene.title,
        )  # fmt: skip
        self.graph.node_attr.update(shape="box", fixedsize="shape", fontname=FONT, label=" ", penwidth="1")
        self.graph.edge_attr.update(arrowsize="0.6", color=colours.LINE, penwidth="1.1")

    def draw(self) -> pygraphviz.AGraph:
        self._bands()
        self._headings()
        for key, rect in self.view.plane.boxes.items():
            if key in self.scene.boxes:
                self._part(self.scene.boxes[key], rect)
        self._labels()
        for wire, points in self.view.plane.wires.items():
            self._wire(wire.source, wire.target, rounded(points))
        self._links()
        if self.scene.marks:
            self._legend()
        return self.graph

    # Rows, columns and the legend

    def _bands(self) -> None:
        for number, band in enumerate(self.view.bands):
            middle = band.y + band.h / 2
            fill = colours.STRIPE if number % 2 == 0 else "#ffffff"
            rect = Rect(self.width / 2, middle, self.width, band.h)
            self._add(f"band {band.row}", rect, style="filled", color=fill, fillcolor=fill)
            stride = band_stride(band.row)
            said = [bold(band_name(band.row), 13.0)]
            said += [pale(f"stride {stride}", 9.0)] if stride and stride > 1 else []
            self._text(f"level {band.row}", Rect(32, middle, 60, 40), said)

    def _headings(self) -> None:
        columns = list(zip(self.view.columns, self.view.plane.columns, strict=True))
        for column, (left, right) in columns:
            if column.role != MIDDLE:
                name = f"lane {column.role} {left:.0f}"
                self._text(name, Rect((left + right) / 2, 50, right - left, 14), [pale(column.title)])
        for subject in self.scene.subjects:
            sides = [place for column, place in columns if column.role == subject.role]
            left, right = min(x for x, _ in sides), max(x for _, x in sides)
            name, size = heading(self.scene, subject)
            middle, wide = (left + right) / 2, right - left
            self._text(f"model {subject.role}", Rect(middle, 12, wide, 20), [bold(name, 15.0).fitted(wide)])
            self._text(f"size {subject.role}", Rect(middle, 30, wide, 14), [pale(size).fitted(wide)])

    def _legend(self) -> None:
        x, y = 74.0, self.view.height + 16
        for number, name in enumerate(self.scene.criteria):
            ink, wide = colours.criterion(number), 7.0 * len(name) + 12
            self._add(f"legend {name}", Rect(x + 9, y, 18, 4), style="filled", fillcolor=ink, color=ink)
            self._text(f"legend {name} name", Rect(x + 24 + wide / 2, y, wide, 16), [plain(name, 11.0)])
            x += wide + 44
        if self.scene.pruned:
            said = [pale("dashed: not needed by any edge, and compiled away")]
            self._text("legend pruned", Rect(x + 140, y, 280, 16), said)

    # Boxes

    def _part(self, box: Box, rect: Rect) -> None:
        inside = self.scene.insides.get(box.key) if self.open else None
        said = [line.fitted(rect.w - 10) for line in _said(box)]
        if inside is None:
            self._add(box.key, rect, label=html(said), **self._look(box))
            return
        self._add(box.key, rect, **self._look(box, faint=True))
        self._text(f"{box.key} title", Rect(rect.x, rect.top + 19, rect.w - 8, 34), said[:2])
        self._inside(box.role, inside, rect.x - inside.width / 2, rect.top + 42)

    def _inside(self, role: str, inside: Inside, left: float, top: float) -> None:
        for number, frame in enumerate(inside.frames):
            rect = Rect(left + frame.x, top + frame.y, frame.w, frame.h)
            name = f"{role} frame {left:.0f} {top:.0f} {number}"
            self._add(name, rect, style="rounded,dashed", color=colours.LINE)
            corner = Rect(rect.left + 18, rect.top + 9, 30, 14)
            self._text(f"{name} times", corner, [bold(f"×{frame.count}", 10.0, colours.PALE)])
        for node, ((x, y), w) in inside.nodes.items():
            box = self.scene.boxes[node_key(role, node)]
            label = html([plain(box.title, 10.0), pale(f"{box.type}  {measures(box)}", 9.0)])
            self._add(box.key, Rect(left + x, top + y, w, NODE_HEIGHT), label=label, **self._look(box))
        for a, b, points in inside.wires:
            self._wire(node_key(role, a), node_key(role, b), [(left + x, top + y) for x, y in points])

    def _look(self, box: Box, faint: bool = False) -> dict[str, str]:
        fill, border = colours.FILL[box.kind]
        look = {"style": "rounded,filled", "fillcolor": f"{fill}80" if faint else fill, "color": border}
        if box.key in self.scene.pruned:
            look |= {"style": "rounded,dashed", "color": f"{border}70", "fontcolor": "#1f232870"}
        terms = self.scene.tapped.get(box.key, ())
        if terms:
            mark = next(mark for mark in self.scene.marks if mark.name == terms[0])
            look |= {"penwidth": "3", "color": self._colour(mark)}
        return {**look, "tooltip": details(box), "id": box.key}

    # Terms and pairs

    def _labels(self) -> None:
        for mark in self.scene.marks:
            self._label(mark, mark.title, [plain(line) for line in lines(mark)], self._colour(mark))
        for pair in self.scene.pairs:
            ours, theirs = pair.channels
            said = [plain(f"{ours} channels" if ours == theirs else f"{ours} ← {theirs} channels")]
            said += [pale(f"stride {pair.stride}", 10.0)] if pair.stride else []
            self._label(pair, pair.name, said, colours.PALE)

    def _label(self, mark: Mark | Pair, title: str, said: Sequence[Line], colour: str) -> None:
        rect = self.view.plane.boxes[label_of(mark)]
        text = [line.fitted(rect.w - 12) for line in (bold(title, 11.0, colour), *said)]
        tip = "\n".join([title, *(line.text for line in said)])
        self._add(
            label_of(mark), rect, label=html(text), style="rounded,filled", fillcolor="#ffffff", color=colour,
            penwidth="1.5", tooltip=tip, id=label_of(mark),
        )  # fmt: skip

    def _links(self) -> None:
        inks = {label_of(mark): self._colour(mark) for mark in self.scene.marks}
        for link in self.view.links:
            look = {"color": inks.get(link.mark, colours.PALE), "penwidth": "2", "arrowhead": "none"}
            look |= {} if link.mark in inks else {"style": "dashed", "penwidth": "1.3"}
            pos = " ".join(map(self._at, rounded(link.points)))
            self.graph.add_edge(link.box, link.mark, pos=pos, **look)

    def _colour(self, mark: Mark) -> str:
        return colours.criterion(self.scene.colour(mark))

    # What Graphviz takes

    def _add(self, name: str, rect: Rect, **look: str) -> None:
        self.graph.add_node(
            name, pos=self._at((rect.x, rect.y)), width=f"{rect.w / _INCH:.4f}",
            height=f"{rect.h / _INCH:.4f}", **look,
        )  # fmt: skip

    def _text(self, name: str, rect: Rect, said: Sequence[Line]) -> None:
        self._add(name, rect, shape="plaintext", label=html(said))

    def _wire(self, source: str, target: str, curve: Sequence[Point]) -> None:
        ghost = not self.scene.pruned.isdisjoint((source, target))
        look = {"style": "dashed", "color": f"{colours.LINE}70"} if ghost else {}
        pos = " ".join(map(self._at, with_tip(curve)))
        self.graph.add_edge(source, target, pos=f"e,{self._at(curve[-1])} {pos}", **look)

    def _at(self, point: Point) -> str:
        return f"{point[0]:.1f},{self.height - point[1]:.1f}"


def _said(box: Box) -> list[Line]:
    """What a box says: its title, names, measures and cost."""
    names = ", ".join(name for name in box.names if not is_raw(name)) or "".join(box.names[:1])
    ink = colours.FILL[box.kind][1]
    said = [bold(box.title), bold("" if names == box.title else names, 11.0, ink)]
    said += [plain(measures(box)), pale(cost(box), 9.0)]
    return [line for line in said if line.text]

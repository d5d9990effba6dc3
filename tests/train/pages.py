"""A run's folder made by hand, and a reader of HTML that believes nothing."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import kdgraph
from kdgraph.train.folder import RunFolder
from tests.train.tiny import data, network

SPEC = """\
student: {student}
teacher: {teacher}
data: {data}
edges:  # <b>two</b> & no more
  neck: {{taps: neck.*, criterion: cwd}}
  logits: {{taps: head.cls, criterion: qfl, weight: 0.5}}
train: {{epochs: 3, imgsz: 64}}
"""
RESULTS = """\
epoch,time,train/box_loss,train/kd_neck_loss,train/kd_logits_loss,metrics/precision(B),metrics/recall(B),\
metrics/mAP50(B),metrics/mAP50-95(B),val/box_loss,lr/pg0
1,10,3.5,2.25,0.125,0.1,0.2,0.31,0.15625,3.25,0.01
2,21,2.5,1.25,0.0625,0.3,0.4,0.52,0.34375,2.25,0.02
3,33,1.5,0.75,0.03125,0.5,0.6,0.51,0.28125,2.75,0.005
"""
EDGES = """\
epoch,edge,loss,weighted,gradient,share
1,neck,2.25,2.25,3,0.375
1,logits,0.25,0.125,1,0.125
1,(task),3.5,3.5,4,0.5
2,neck,1.25,1.25,2,0.25
2,logits,0.125,0.0625,1,0.125
2,(task),2.5,2.5,5,0.625
3,neck,0.75,0.75,1,0.125
3,logits,0.0625,0.03125,1,0.125
3,(task),1.5,1.5,6,0.75
"""


def run_folder(place: Path, spec: str = SPEC) -> Path:
    """A run of three epochs that has ended, as kdgraph and Ultralytics leave it, without pictures."""
    student, teacher = network(place, "detect"), network(place, "detect", 16)
    text = spec.format(student=student, teacher=teacher, data=data(place, "detect", 2, 1))
    (place / "my-spec.yaml").write_text(text)
    folder = place / "run"
    RunFolder(folder).write(kdgraph.load(place / "my-spec.yaml"), {}, "data.yaml")
    (folder / "results.csv").write_text(RESULTS)
    (folder / "edges.csv").write_text(EDGES)
    (folder / "args.yaml").write_text("epochs: 3\nimgsz: 64\ndevice: ''\nval: true\ncos_lr: null\n")
    (folder / "weights").mkdir()
    (folder / "weights" / "last.pt").write_bytes(b"")
    return folder


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


_VOID = {"meta", "img", "br", "hr", "link", "input"}


@dataclass
class Element:
    tag: str
    attrs: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(each if isinstance(each, str) else each.text for each in self.children)

    def all(self, tag: str, kind: str = "") -> list[Element]:
        """The elements below with this tag, and this class."""
        found: list[Element] = []
        for each in self.children:
            if isinstance(each, Element):
                mine = each.tag == tag and (not kind or kind in each.attrs.get("class", "").split())
                found += [*([each] if mine else []), *each.all(tag, kind)]
        return found

    def one(self, tag: str, kind: str = "") -> Element:
        (found,) = self.all(tag, kind)
        return found

    def section(self, name: str) -> Element:
        (found,) = [each for each in self.all("section") if each.attrs["id"] == name]
        return found

    def table(self, first: str) -> list[list[str]]:
        """The rows of the table whose head begins with this word."""
        (found,) = [each for each in self.all("table") if each.all("th")[0].text == first]
        return [[cell.text for cell in row.all("td") or row.all("th")] for row in found.all("tr")]


class _Reader(HTMLParser):
    """Every element must be closed, and in its turn."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice in <{tag}>"
        made = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(made)
        if tag not in _VOID:
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(page: str) -> Element:
    """The page as a tree. Fails where it is not well-formed, or takes anything from elsewhere."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    (root,) = reader.open
    ids = re.findall(r'\sid="([^"]*)"', re.sub(r'srcdoc="[^"]*"', "", page))
    assert len(ids) == len(set(ids))
    _check_alone(root, ids)
    return root


def _check_alone(root: Element, ids: list[str]) -> None:
    for tag in ("script", "link", "object", "embed", "base"):
        assert not root.all(tag)
    for style in root.all("style"):
        assert "url(" not in style.text
        assert "@import" not in style.text
    for each in root.all("img"):
        assert each.attrs["src"].startswith("data:image/")
    for each in root.all("a"):
        assert each.attrs["href"].removeprefix("#") in ids

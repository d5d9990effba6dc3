"""Valid specs that between them use every part of the language; tests check them and mutate them."""

from __future__ import annotations

from kdgraph.spec.components import COMPONENTS, Kind
from kdgraph.spec.recipes import RECIPES

SMALLEST = """\
student: yolo11n.pt
teacher: yolo11m.pt
edges: default
"""

FULL = """\
# yaml-language-server: $schema=kdgraph.json
kdgraph: 1
student: {model: yolo11n.yaml, trust: false}
teacher:
  model: yolo11m.pt
  trust: yes
  train: {epochs: 50, imgsz: 320, optimizer: AdamW, lr0: 2e-3}
data: my-data.yaml
plugins: [tests.spec.plugin]

taps:
  deep: {student: model.10, teacher: model.10}
  tower: {student: [head.cls.p4.0], teacher: head.cls.p4.0}
  all_p3: '*.p3'

edges:
  neck:
    taps: neck.*
    criterion: {cwd: {tau: 1.0, norm: batch}}
    adapter: auto
    weight: {p3: 0.4, p4: 0.4, p5: 0.2}
  cls:
    taps: head.cls.*
    criterion: {bce: {temperature: 2.0}}
    mask: foreground
    weight: {cosine: {from: 1.0, to: 0.1, epochs: [0, 90]}}
  dfl:
    taps: [head.dfl.p3, 'head.dfl.p[45]']
    criterion: {kl: {temperature: 1.5}}
    mask: {teacher_score: {power: 1}}
    until: 90
  deep-mimic: {taps: deep, criterion: mimic, adapter: {conv1x1: {norm: true}}, weight: 0.5, from: 3}
  tower:
    taps: tower
    criterion: {qfl: }
    mask: [{foreground: {of: teacher, topk: 13}}, teacher_score, {boxes: {context: 1.5}}]
    weight: [1]
    level: p4
    warmup: 2.5
  p3: {taps: all_p3, criterion: pkd, adapter: {resize: {mode: nearest}}, until: -5, level: [p3]}
  sl2: {taps: neck.*, criterion: sl2, weight: {linear: {from: 6, to: 0, epochs: [0, -10]}}, mask: [top_k]}
  cross: {taps: head.cls.*, criterion: qfl, splice: head.cls.*.0}
  cross-dfl: {taps: head.dfl.*, criterion: ld, splice: {at: [head.dfl.p3.0, head.dfl.p4.0], standardise: no}}
  cross-deep: {taps: head.cls, criterion: kl, splice: {student: model.9, teacher: model.10}}
  cross-tower: {taps: head.cls.p4, criterion: dkd, splice: {at: tower}}
  mine: {taps: neck.p3, criterion: {corpus_l1: {share: 0.5}}, mask: corpus_half}

balance: {gradient_norm: {every: 16, at: neck.*, momentum: 0.5}}
phases:
  - {name: features, until: 30, edges: [neck, deep-mimic, p3, sl2]}
  - {name: heads, until: -20, edges: [cls, dfl, tower, cross, cross-dfl, cross-deep, cross-tower]}
  - {name: everything, until: -5, edges: all}
  - {name: last, edges: cls}

train: {epochs: 100, imgsz: 640, batch: 16, amp: true, time: , device: '0,1', freeze: [0, 1], name: 2024}
outputs: [taps, teacher]
"""


TEACHERS = """\
student: yolo11n.pt
plugins: tests.spec.plugin
data: my-data.yaml
teachers:
  large: {model: yolo11x.pt, trust: no, imgsz: 960, channels: [2, 1, 0, 0], classes: {automobile: car, 1: 2}}
  fresh: {model: yolov8m.yaml, train: {epochs: 5}, imgsz: 64}
  average: {model: student.ema, imgsz: 1280}
  follower: student.ema
  own: {python: 'tests.spec.plugin:teacher', imgsz: 224, channels: [0], classes: {'0': zero}}
  old: yolov8m.pt
edges:
  neck: {taps: neck.*, criterion: cwd, teacher: large}
  cls: {taps: head.cls, criterion: qfl, teacher: [large, old, follower]}
  box: {taps: head.dfl, criterion: kl, teacher: [fresh]}
  mean: {teacher: average, taps: head.box, criterion: iou, mask: {foreground: {of: teacher}}}
  raw: {taps: {student: backbone.p4, teacher: layer3.0}, criterion: pkd, teacher: own}
  deep: {taps: {student: backbone.p4, teacher: neck.p4}, criterion: cwd, teacher: student}
"""

DEEP = "edges: {deep: {taps: {student: backbone.p4, teacher: neck.p4}, criterion: pkd}}\n"


def with_teacher(text: str, edges: str = "edges: default\n") -> str:
    """A spec with one teacher, written as `text`."""
    return f"student: a.pt\nteacher: {text}\n{edges}"


def with_component(kind: Kind, text: str) -> str:
    """A spec with one component, written as `text`."""
    if kind == "balance":
        return f"{SMALLEST}balance: {text}\n"
    parts = {"criterion": "mimic"} | {kind: text}
    edge = ", ".join(f"{key}: {value}" for key, value in parts.items())
    return f"student: a.pt\nteacher: b.pt\nedges: {{e: {{taps: neck.*, {edge}}}}}\n"


def each_component() -> list[str]:
    """A spec for every component, by name alone and with all options at their defaults."""
    specs = []
    for kind, infos in COMPONENTS.items():
        for info in infos.values():
            options = ", ".join(f"{key}: {str(value).lower()}" for key, value in info.validate({}).items())
            texts = (info.name, f"{{{info.name}: {{{options}}}}}", f"{{{info.name}: }}")
            specs += [with_component(kind, text) for text in texts]
    return specs


EMPTY = "data: null\ntrain:\ntaps:\nplugins:\nbalance:\nphases:\noutputs:\n"
VALID = [SMALLEST, FULL, TEACHERS, *each_component()]
VALID += [with_teacher("student", DEEP), with_teacher("{model: student}", DEEP)]
VALID += [with_teacher(text) for text in ("student.ema", "{model: student.ema, imgsz: 640}", "student.pt")]
VALID += ["student: a.pt\nteachers: {only: b.pt}\nedges: default\n"]
VALID += [f"student: a.pt\nteacher: b.pt\nedges: {name}\n{EMPTY}" for name in RECIPES]

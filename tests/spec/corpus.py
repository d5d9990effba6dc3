"""Valid specs that between them use every part of the language; tests check them and mutate them."""

from __future__ import annotations

from kdgraph.spec.components import COMPONENTS
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
    mask: {foreground: {of: teacher, topk: 13}}
    weight: [1]
    level: p4
    warmup: 2.5
  p3: {taps: all_p3, criterion: pkd, adapter: {resize: {mode: nearest}}, until: -5, level: [p3]}
  sl2: {taps: neck.*, criterion: sl2, weight: {linear: {from: 6, to: 0, epochs: [0, -10]}}}

train: {epochs: 100, imgsz: 640, batch: 16, amp: true, time: , device: '0,1', freeze: [0, 1], name: 2024}
outputs: [taps, teacher]
"""


def each_component() -> list[str]:
    """A spec for every criterion, mask and adapter, by name alone and with all options at their defaults."""
    specs = []
    for kind, infos in COMPONENTS.items():
        for info in infos.values():
            options = ", ".join(f"{key}: {str(value).lower()}" for key, value in info.validate({}).items())
            for text in (info.name, f"{{{info.name}: {{{options}}}}}", f"{{{info.name}: }}"):
                parts = {"criterion": "mimic"} | {kind: text}
                edge = ", ".join(f"{key}: {value}" for key, value in parts.items())
                specs.append(f"student: a.pt\nteacher: b.pt\nedges: {{e: {{taps: neck.*, {edge}}}}}\n")
    return specs


VALID = [SMALLEST, FULL, *each_component()]
VALID += [f"student: a.pt\nteacher: b.pt\ndata: null\nedges: {name}\ntrain:\ntaps:\n" for name in RECIPES]

"""The emitted code of a small pair, as a reader sees it.

`pytest tests/compiler/test_code.py --update-golden` writes it anew: read the diff before committing it.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.compiler.pairs import distiller

GOLDEN = Path(__file__).with_name("toy_code.txt")
EDGES = """\
  neck: {taps: neck.p3, criterion: cwd}
  cls: {taps: head.cls.p4, criterion: bce, mask: foreground}
  sure: {taps: neck.p3, criterion: cosine, mask: teacher_score}"""


def read(code: str) -> str:
    """Without the `;  x = None` that torch.fx writes to free memory: it differs among versions of torch."""
    return re.sub(r";  [\w = ]+ = None(?=\n|$)", "", code).strip() + "\n"


def test_the_code_reads_as_it_did(update_golden: bool) -> None:
    code = read(distiller(EDGES, outputs="[taps]").code)
    if update_golden:
        GOLDEN.write_text(code, encoding="utf-8")
    assert code == GOLDEN.read_text(encoding="utf-8")


def test_the_same_spec_gives_the_same_code() -> None:
    assert distiller(EDGES).code == distiller(EDGES).code


def test_names_say_whose_and_what() -> None:
    model = distiller(EDGES)
    lines = read(model.code).splitlines()
    losses = [line.strip() for line in lines if line.strip().startswith("loss_")]
    assert losses == [
        "loss_neck = self.edges.edge_neck("
        "[{'student': adapter_neck_p3_conv1x1, 'teacher': teacher_model_7_cv2_act}])",
        "loss_cls = self.edges.edge_cls([{'student': student_model_11_cv3_1_2, "
        "'teacher': teacher_model_11_cv3_1_2, 'mask': foreground_cls_p4}])",
        "loss_sure = self.edges.edge_sure([{'student': adapter_neck_p3_conv1x1, "
        "'teacher': teacher_model_7_cv2_act, 'mask': teacher_score_sure_p3}])",
    ]
    assert [node.name for node in model.graph.nodes if node.op == "placeholder"] == [
        "images", "batch_idx", "cls", "bboxes",
    ]  # fmt: skip

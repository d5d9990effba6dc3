"""`balance:` in a spec."""

from __future__ import annotations

import pytest
import torch

from tests.compiler.pairs import distiller, task_loss
from tests.compiler.passes.helpers import marked
from tests.toys import batch, spec, toy

EDGES = """\
  neck: {taps: neck.*, criterion: mimic}
  cls: {taps: head.cls, criterion: qfl, weight: 0.5}
  late: {taps: head.dfl, criterion: kl, from: 10}"""


def norms(model: object, out: object) -> dict[str, float]:
    """Norm of each weighted edge's gradient at the student's neck, by hand."""
    found = {}
    for name, loss in out.losses.items():  # type: ignore[attr-defined]
        grads = torch.autograd.grad(loss, out.shared, retain_graph=True, allow_unused=True)  # type: ignore[attr-defined]
        found[name] = float(torch.cat([g.flatten() for g in grads if g is not None]).norm())
    return found


def test_gradients_at_the_neck_become_as_strong_as_the_task_s() -> None:
    model = distiller(EDGES, balance="{gradient_norm: {every: 1}}")
    for module in model.student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    out = model(batch())
    assert [tuple(t.shape[1:]) for t in out.shared] == [(16, 8, 12), (32, 4, 6)]
    task = task_loss(model, batch(), out.predictions) / 2
    before = norms(model, out)
    model.rebalance(out, task)
    target = float(
        torch.cat([g.flatten() for g in torch.autograd.grad(task, out.shared, retain_graph=True)]).norm()
    )
    after = norms(model, model(batch()))
    assert before["neck"] != pytest.approx(target, rel=0.1)
    assert after == pytest.approx({"neck": target, "cls": 0.5 * target, "late": 0.0}, rel=1e-3)


def test_every_few_steps_and_nothing_between() -> None:
    model = distiller(EDGES, balance="{gradient_norm: {every: 3, momentum: 0}}")
    seen = []
    for seed in range(4):
        out = model(batch(seed=seed))
        model.rebalance(out)
        seen.append(model.balance.factors.tolist())  # type: ignore[union-attr]
    assert seen[0] == seen[1] == seen[2] != seen[3]


def test_without_balance_rebalance_is_nothing() -> None:
    model = distiller(EDGES)
    out = model(batch())
    model.rebalance(out)
    assert out.shared == ()
    assert model.balance is None


def test_uncertainty_is_learnt_with_the_student() -> None:
    model = distiller(EDGES, balance="uncertainty")
    out = model(batch())
    torch.testing.assert_close(out.loss, sum(out.losses.values()))
    assert out.losses["cls"] == 0.5 * out.raw["cls"]
    out.loss.backward()
    grads = dict(model.named_parameters())["balance.log_variance"].grad
    neck, cls = (out.losses[name].item() for name in ("neck", "cls"))
    torch.testing.assert_close(grads, torch.tensor([1 - neck, 1 - cls, 0.0]))
    with torch.no_grad():
        model.balance.log_variance.fill_(1.0)  # type: ignore[union-attr, operator]
    again = model(batch())
    torch.testing.assert_close(again.losses["neck"], again.raw["neck"] / torch.e)
    torch.testing.assert_close(again.loss, sum(again.losses.values()) + 2)


def test_balance_survives_an_edge_that_ends() -> None:
    edges = EDGES.replace("criterion: mimic", "criterion: mimic, until: 5")
    model = distiller(edges, balance="{gradient_norm: {every: 1}}")
    model.rebalance(model(batch()))
    factor = model.balance.factors[1].clone()  # type: ignore[union-attr]
    model.retire(5)
    out = model(batch())
    torch.testing.assert_close(out.losses["cls"], factor * 0.5 * out.raw["cls"])
    model.rebalance(out)


def test_an_edge_before_the_shared_taps_is_refused() -> None:
    from kdgraph.compiler.api import plan
    from kdgraph.errors import GraphError

    text = "  early: {taps: backbone.p3, criterion: cwd}\n" + EDGES
    with pytest.raises(GraphError) as caught:
        plan(spec(text, balance="gradient_norm"), student=toy(), teacher=toy(16))
    [fault] = caught.value.diagnostics
    assert fault.message == "edge 'early': its gradient does not pass 'neck.*', where the edges are balanced"
    assert marked(fault) == "backbone.p3"


def test_taps_that_are_not_there_are_told() -> None:
    from kdgraph.compiler.api import plan
    from kdgraph.errors import GraphError

    with pytest.raises(GraphError, match=r"balance.gradient_norm.at: 'nekc.\*' names nothing in the student"):
        plan(spec(EDGES, balance="{gradient_norm: {at: nekc.*}}"), student=toy(), teacher=toy(16))


def test_it_compiles_to_one_graph() -> None:
    torch._dynamo.reset()
    for balance in ("uncertainty", "gradient_norm"):
        model = distiller(EDGES, balance=balance)
        expected = model(batch())
        compiled = torch.compile(model, backend="eager", fullgraph=True)(batch())
        torch.testing.assert_close(compiled.losses, expected.losses, rtol=1e-4, atol=1e-5)
        model.rebalance(compiled)
    torch._dynamo.reset()

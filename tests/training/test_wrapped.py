"""Running through Fabric: mixed precision inside, the batch and the losses untouched."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from selfscan.methods.method import Outcome
from selfscan.scans.crops import Batch
from selfscan.training.engine import EngineConfig
from selfscan.training.wrapped import Trainable, Wrapped


class Probe(Trainable):
    """Notes in what precision it gets and computes things."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.seen: dict[str, Tensor] = {}

    def forward(self, batch: Batch) -> Outcome:
        product = self.layer(batch.extras["exact"])
        self.seen = {"extra": batch.extras["exact"], "product": product}
        return Outcome({"loss": product.square().mean()}, {"monitor": product.mean()})


def batch() -> Batch:
    return Batch(
        volumes=torch.zeros(1, 1, 1, 2, 2, 2, dtype=torch.int16),
        hounsfield=torch.ones(1, 1, 1, dtype=torch.bool),
        examples=torch.arange(1),
        scans=torch.zeros(1, 1, dtype=torch.int64),
        starts=torch.zeros(1, 1, 3, dtype=torch.int64),
        extras={"exact": torch.tensor([[1.0009765625, 2.0]])},
    )


@pytest.mark.parametrize(
    ("precision", "inside"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)]
)
def test_the_network_computes_in_the_precision_asked_for_on_exact_inputs(
    precision: str, inside: torch.dtype
) -> None:
    fabric = EngineConfig(accelerator="cpu", precision=precision).fabric()  # type: ignore[arg-type]
    module = Probe()
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    wrapped = Wrapped(fabric, module, optimizer)
    outcome = wrapped(batch())
    assert module.seen["product"].dtype == inside
    assert torch.equal(module.seen["extra"], batch().extras["exact"])
    assert outcome.total.dtype == torch.float32
    assert module.layer.weight.dtype == torch.float32


def test_clipping_returns_the_norm_and_bounds_it() -> None:
    module = Probe()
    wrapped = Wrapped(
        EngineConfig(accelerator="cpu", precision="32-true").fabric(),
        module,
        torch.optim.SGD(module.parameters(), lr=1.0),
    )
    wrapped.backward(wrapped(batch()).total)
    gradients = [weight.grad.clone() for weight in module.parameters() if weight.grad is not None]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert wrapped.clip_gradients(float("inf")) == pytest.approx(norm)
    for weight, gradient in zip(module.parameters(), gradients, strict=True):
        assert torch.equal(weight.grad, gradient)
    wrapped.clip_gradients(norm / 2)
    for weight, gradient in zip(module.parameters(), gradients, strict=True):
        assert torch.allclose(weight.grad, gradient / 2, rtol=1e-4)

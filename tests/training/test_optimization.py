"""Optimizers and schedules: values by hand, frozen groups, refused arguments."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from selfscan.methods.method import OptimizerConfig
from selfscan.training.optimization import (
    ParameterGroup,
    build_optimizer,
    drop_frozen_gradients,
    learning_rate,
    set_learning_rate,
)


def parameter(value: float = 1.0) -> nn.Parameter:
    return nn.Parameter(torch.tensor([value]))


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("constant", 99, 2.0),
        ("cosine", 10, 2.0),
        ("cosine", 55, 1.0),
        ("cosine", 100, 0.0),
        ("step", 39, 2.0),
        ("step", 40, 1.0),
        ("step", 99, 0.5),
    ],
)
def test_schedules_follow_their_formula(schedule: str, step: int, expected: float) -> None:
    config = OptimizerConfig(learning_rate=2.0, schedule=schedule, warmup_steps=10, step_size=40)
    assert learning_rate(config, step=step, steps=100) == pytest.approx(expected)


def test_warm_up_rises_to_the_peak_and_never_starts_at_zero() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=4)
    rates = [learning_rate(config, step=step, steps=10) for step in range(5)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_sgd_moves_by_rate_momentum_and_the_factor_of_the_group() -> None:
    fast, slow = parameter(), parameter()
    groups = [ParameterGroup((fast,)), ParameterGroup((slow,), rate=0.1)]
    optimizer = build_optimizer(groups, OptimizerConfig(algorithm="sgd", momentum=0.5))
    set_learning_rate(optimizer, groups, 0.2, step=0)
    for _ in range(2):
        fast.grad, slow.grad = torch.tensor([1.0]), torch.tensor([1.0])
        optimizer.step()
    assert fast.item() == pytest.approx(1 - 0.2 - 0.2 * 1.5)
    assert slow.item() == pytest.approx(1 - 0.02 - 0.02 * 1.5)


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_each_algorithm_is_the_one_named(algorithm: str, kind: type) -> None:
    config = OptimizerConfig(algorithm=algorithm, weight_decay=0.1)
    optimizer = build_optimizer([ParameterGroup((parameter(),))], config)
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["weight_decay"] == 0.1


def test_frozen_parameters_stay_until_their_time_has_come() -> None:
    early, late = parameter(), parameter()
    groups = [ParameterGroup((early,)), ParameterGroup((late,), frozen_steps=2)]
    optimizer = build_optimizer(groups, OptimizerConfig(weight_decay=0.5))
    seen = []
    for step in range(3):
        early.grad, late.grad = torch.tensor([1.0]), torch.tensor([1.0])
        drop_frozen_gradients(groups, step=step)
        optimizer.step()
        seen.append((early.item() < 1, late.item() < 1))
    assert seen == [(True, False), (True, False), (True, True)]


def test_the_intended_schedule_of_vox2vec() -> None:
    epoch, groups = 300, [ParameterGroup((parameter(),))]
    groups.append(
        ParameterGroup(
            (parameter(),), rate=0.1, frozen_steps=50 * epoch, doubling_steps=epoch, name="backbone"
        )
    )
    config = OptimizerConfig(algorithm="adam", learning_rate=3e-4, schedule="constant")
    optimizer = build_optimizer(groups, config)
    found = []
    for number in (0, 49, 50, 51, 52, 53, 54, 149, 10**6):
        for step in (number * epoch, (number + 1) * epoch - 1):
            rate = learning_rate(config, step=step, steps=150 * epoch)
            shares = set_learning_rate(optimizer, groups, rate, step=step)
            head, backbone = (settings["lr"] for settings in optimizer.param_groups)
            assert head == 3e-4
            assert shares == {"backbone_learning_rate": backbone}
            found.append(backbone)
    assert found[::2] == found[1::2]
    expected = [0, 0, 3e-5, 6e-5, 1.2e-4, 2.4e-4, 3e-4, 3e-4, 3e-4]
    assert found[::2] == pytest.approx(expected)


def test_a_factor_stays_where_nothing_doubles_it() -> None:
    group = ParameterGroup((parameter(),), rate=0.1, frozen_steps=5)
    assert [group.factor(step) for step in (4, 5, 10**6)] == [0.0, 0.1, 0.1]


def test_groups_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="needs parameters"):
        ParameterGroup(())
    with pytest.raises(ValueError, match="rate must be positive"):
        ParameterGroup((parameter(),), rate=0.0)
    with pytest.raises(ValueError, match="doubling_steps not negative"):
        ParameterGroup((parameter(),), rate=0.1, doubling_steps=-1)
    with pytest.raises(ValueError, match=r"below 1 to double up to it, got 1\.0"):
        ParameterGroup((parameter(),), doubling_steps=5)

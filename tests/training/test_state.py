"""The state of a run: what is best, means since the last row, and back from disk unchanged."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from selfscan.training.state import RunState, load_state, save_state


def test_the_best_is_the_first_number_then_any_better_one() -> None:
    state = RunState()
    found = []
    for step, value in enumerate((float("nan"), 0.5, 0.6, 0.4, 0.4), start=1):
        state.step = step
        found.append(state.improved(value, maximize=False))
    assert found == [False, True, False, True, False]
    assert (state.best_step, state.best_value) == (4, 0.4)
    assert state.improved(0.45, maximize=True)


def test_means_are_over_the_steps_since_the_last_call() -> None:
    state = RunState()
    state.add({"loss": 1.0})
    state.add({"loss": 2.0})
    assert state.take_means() == {"loss": 1.5}
    state.add({"loss": 5.0})
    assert state.take_means() == {"loss": 5.0}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    def stepped() -> tuple[nn.Module, torch.optim.Optimizer]:
        module = nn.Linear(2, 1)
        optimizer = torch.optim.AdamW(module.parameters())
        module(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        return module, optimizer

    module, optimizer = stepped()
    state = RunState(step=3, best_step=2, best_value=0.25, sums={"loss": 0.1}, summed=1)
    save_state(tmp_path / "state.ckpt", state, module, optimizer)
    other, other_optimizer = stepped()
    assert load_state(tmp_path / "state.ckpt", other, other_optimizer) == state
    assert torch.equal(module.weight, other.weight)
    ours, theirs = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    assert torch.equal(ours[0]["exp_avg"], theirs[0]["exp_avg"])
    assert [path.name for path in tmp_path.iterdir()] == ["state.ckpt"]

"""What leaves, and when two forms count as equal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_models import write_model

from selfscan.errors import SelfscanError
from selfscan.exits.leaving import leaving, require_equal


def test_a_fine_tuned_model_leaves_whole(tmp_path: Path) -> None:
    model = leaving(write_model(tmp_path / "run"))
    assert model.segmenter is not None
    assert model.segmenter.backbone is model.backbone
    assert not model.backbone.training
    assert model.example().shape == (1, 1, 16, 24, 8)
    assert torch.equal(model.example(), model.example())


def test_a_pretrained_encoder_leaves_alone(tmp_path: Path) -> None:
    model = leaving(write_model(tmp_path / "run", segmentation=False, part="encoder"))
    assert model.segmenter is None
    assert {name.split(".")[1] for name in model.checkpoint.weights} == {"down"}


def test_differences_are_relative_to_large_outputs_only() -> None:
    ones, hundreds = torch.ones(2, 3), torch.full((2, 3), 100.0)
    assert require_equal([ones], [ones + 5e-5], form="x") == pytest.approx(5e-5, rel=0.01)
    assert require_equal([hundreds], [hundreds + 5e-3], form="x") == pytest.approx(5e-5, rel=0.01)
    assert require_equal([ones / 100], [ones / 100 + 5e-5], form="x") == pytest.approx(
        5e-5, rel=0.01
    )
    for other in (ones + 2e-4, torch.full((2, 3), torch.nan)):
        with pytest.raises(SelfscanError, match=r"x: found outputs that differ by .*not|nothing"):
            require_equal([ones], [other], form="x")
    with pytest.raises(SelfscanError, match=r"found outputs \[\(3, 2\)\]; expected \[\(2, 3\)\]"):
        require_equal([ones], [ones.T], form="x")

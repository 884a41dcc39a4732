"""Probing: features alone decide the score, and the same call gives the same score."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
import torch
from labelled_store import write_store
from torch import Tensor

from selfscan.checkpoints.checkpoint import Checkpoint, save
from selfscan.errors import SelfscanError
from selfscan.networks.backbone import Backbone, BackboneConfig, Features, Pyramid
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.training.engine import EngineConfig
from selfscan.training.probe import ProbeRecipe, probe

NETWORK = UNet3DConfig(width=2, norm="instance")


class Blurred(Backbone):
    """The volume itself and means over cells of 2 x 2 x 2 voxels; an encoder alone.

    Each stands in six channels, as the non-linear head is as wide as the pyramid it reads.
    """

    in_channels = 1
    encoder_pyramid = Pyramid((6, 6), ((1, 1, 1), (2, 2, 2)))
    decoder_pyramid = Pyramid()
    divisor = (2, 2, 2)

    def forward(self, volumes: Tensor) -> Features:
        return Features(self.encode(volumes))

    def encode(self, volumes: Tensor) -> tuple[Tensor, ...]:
        means = torch.nn.functional.avg_pool3d(volumes, 2)
        return volumes.repeat(1, 6, 1, 1, 1), means.repeat(1, 6, 1, 1, 1)

    def encoder_parameters(self) -> list[torch.nn.Parameter]:
        return []


@dataclass(frozen=True)
class BlurredConfig(BackboneConfig):
    name: ClassVar[str] = "blurred"

    def build(self, in_channels: int) -> Blurred:
        return Blurred()


ENGINE = EngineConfig(accelerator="cpu", precision="32-true")
RECIPE = ProbeRecipe(
    crop_size=(24, 24, 16), voxels_per_class=200, background_voxels=1000, overlap=0.25, steps=100
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store")


@pytest.mark.parametrize("head", ["linear", "nonlinear"])
def test_shapes_that_differ_in_intensity_are_found(store: Path, tmp_path: Path, head) -> None:
    scores = probe(
        store, tmp_path / "out", backbone=BlurredConfig(), head=head, recipe=RECIPE, engine=ENGINE
    )
    assert scores["case"].unique().tolist() == ["scan-4", "scan-5"]
    assert scores["class"].unique().tolist() == ["ball", "bar"]
    assert scores["dice"].mean() > 0.9
    described = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert described["exponent_chosen_on"] == "validation"
    assert described["features"] == 12
    assert len(described["cases"]) == 3
    saved = pd.read_parquet(tmp_path / "out" / "cases.parquet")
    pd.testing.assert_frame_equal(saved, scores)


@pytest.mark.slow
def test_the_same_call_gives_the_same_scores(store: Path, tmp_path: Path) -> None:
    first, second = (
        probe(store, tmp_path / name, backbone=NETWORK, recipe=RECIPE, engine=ENGINE, cases=2)
        for name in ("a", "b")
    )
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.slow
def test_a_checkpoint_is_probed_with_its_weights(store: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    weights = {f"backbone.{n}": w for n, w in NETWORK.build(1).state_dict().items()}
    weights["head.weight"] = torch.zeros(3)
    checkpoint = Checkpoint(
        weights=weights,
        backbone=NETWORK,
        in_channels=1,
        task="pretraining",
        contract=PreprocessingContract(),
        window_hu=(-1000.0, 1000.0),
        crop_size=(24, 24, 16),
    )
    save(checkpoint, tmp_path / "run" / "last.safetensors")
    found = probe(
        store, tmp_path / "out", checkpoint=tmp_path / "run", recipe=RECIPE, engine=ENGINE
    )
    floor = probe(store, tmp_path / "floor", backbone=NETWORK, recipe=RECIPE, engine=ENGINE)
    assert not found["dice"].equals(floor["dice"])
    report = json.loads((tmp_path / "out" / "load_report.json").read_text())
    assert report["share"] == 1.0


def test_without_validation_the_labelled_cases_choose(store: Path, tmp_path: Path) -> None:
    probe(
        store,
        tmp_path / "out",
        backbone=NETWORK,
        recipe=RECIPE,
        engine=ENGINE,
        validation_split=None,
        cases=1,
    )
    described = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert described["exponent_chosen_on"] == "train"


@pytest.mark.slow
def test_resume_keeps_a_finished_result(store: Path, tmp_path: Path) -> None:
    arguments = {"backbone": NETWORK, "recipe": RECIPE, "engine": ENGINE, "cases": 1}
    first = probe(store, tmp_path / "out", **arguments)
    with pytest.raises(SelfscanError, match="not empty"):
        probe(store, tmp_path / "out", **arguments)
    again = probe(store, tmp_path / "out", **arguments, resume=True)
    pd.testing.assert_frame_equal(first, again)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"voxels_per_class": 0}, "voxels_per_class must be at least 1, got 0"),
        ({"background_voxels": 0}, "background_voxels must be at least 1, got 0"),
        ({"penalty": 0.0}, "penalty must be positive, got 0.0"),
        ({"overlap": 1.0}, r"overlap must lie in \[0, 1\), got 1.0"),
    ],
)
def test_bad_recipes(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProbeRecipe(**arguments)  # type: ignore[arg-type]


def test_an_unknown_head(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="head must be linear or nonlinear, got 'deep'"):
        probe(store, tmp_path / "out", backbone=NETWORK, head="deep", recipe=RECIPE)  # type: ignore[arg-type]

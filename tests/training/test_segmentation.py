"""The segmenter, and sliding windows over whole volumes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from selfscan.checkpoints.checkpoint import Checkpoint, save
from selfscan.errors import SelfscanError
from selfscan.networks.backbone import Backbone, Features, Pyramid
from selfscan.networks.unet3d import UNet3D, UNet3DConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.training.engine import EngineConfig
from selfscan.training.segmentation import (
    Segmenter,
    inference_fabric,
    load_segmenter,
    segment_volume,
    slide,
)

NAMES = {0: "background", 1: "liver", 2: "spleen"}
WINDOW = (-1000.0, 1000.0)


def small_segmenter() -> Segmenter:
    torch.manual_seed(0)
    backbone = UNet3D(1, width=2, norm="instance")
    return Segmenter(backbone, label_names=NAMES, window_hu=WINDOW).eval()


class Coarse(Backbone):
    """A backbone whose decoder ends at half resolution."""

    in_channels = 1
    encoder_pyramid = decoder_pyramid = Pyramid((4,), ((2, 2, 2),))
    divisor = (2, 2, 2)

    def forward(self, volumes: Tensor) -> Features:
        raise NotImplementedError

    def encode(self, volumes: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def encoder_parameters(self) -> list[torch.nn.Parameter]:
        return []


def test_logits_have_a_channel_a_class() -> None:
    assert small_segmenter()(torch.rand(2, 1, 16, 8, 24)).shape == (2, 3, 16, 8, 24)


def test_impossible_segmenters() -> None:
    with pytest.raises(ValueError, match=r"stride \(1, 1, 1\), got Coarse with stride \(2, 2, 2\)"):
        Segmenter(Coarse(), label_names=NAMES, window_hu=WINDOW)
    coarse = Coarse()
    coarse.decoder_pyramid = Pyramid()
    with pytest.raises(ValueError, match="got Coarse with no decoder"):
        Segmenter(coarse, label_names=NAMES, window_hu=WINDOW)
    with pytest.raises(ValueError, match=r"without gaps, got \[0, 2\]"):
        Segmenter(UNet3D(1, width=2), label_names={0: "background", 2: "x"}, window_hu=WINDOW)


@pytest.mark.parametrize("shape", [(16, 16, 16), (21, 30, 9), (40, 8, 17)])
def test_sliding_windows_of_a_pointwise_network_change_nothing(shape: tuple[int, ...]) -> None:
    volume = np.random.default_rng(0).integers(-1000, 1000, (1, *shape)).astype(np.int16)
    found = slide(
        lambda x: torch.cat([x, 1 - x], dim=1),
        volume,
        [True],
        window_hu=WINDOW,
        crop_size=(16, 16, 16),
    )
    units = (volume[0] + 1000) / 2000
    np.testing.assert_allclose(found.numpy(), np.stack([units, 1 - units]), atol=1e-5)


def test_windows_lie_as_in_the_release_of_vox2vec() -> None:
    # Its windows own their middles, these are blended; there are as many, at the same places.
    x = np.arange(300, dtype=np.int16)[None, :, None, None] * np.ones((1, 1, 250, 100), np.int16)
    firsts: list[float] = []

    def first_voxels(windows: Tensor) -> Tensor:
        firsts.extend(windows[:, 0, 0, 0, 0].tolist())
        return windows.clone()

    slide(first_voxels, x, [False], window_hu=WINDOW, crop_size=(128, 128, 32))
    assert len(firsts) == 72
    assert round(10_000 * max(firsts)) == 172
    firsts.clear()
    slide(first_voxels, x[:, :40, :16, :16], [False], window_hu=WINDOW, crop_size=(16, 16, 16))
    assert np.round(np.array(firsts) * 10_000).tolist() == [0, 8, 16, 24]


def test_every_level_of_the_decoder_reaches_the_logits() -> None:
    segmenter = small_segmenter()
    segmenter(torch.rand(1, 1, 16, 16, 16)).square().sum().backward()
    assert len(segmenter.head.layers) == 4
    assert all(layer.weight.grad.norm() > 0 for layer in segmenter.head.layers)


def test_one_window_is_the_network_itself() -> None:
    segmenter = small_segmenter()
    volume = np.random.default_rng(0).integers(-500, 500, (1, 16, 16, 16)).astype(np.int16)
    found = segment_volume(segmenter, volume, [True], crop_size=(16, 16, 16))
    units = torch.from_numpy((volume[None] + 1000) / 2000).float()
    with torch.no_grad():
        expected = torch.softmax(segmenter(units), dim=1)[0]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_windows_pass_together_only_where_they_leave_each_other_alone() -> None:
    def batches_of(norm: str) -> list[int]:
        segmenter = Segmenter(UNet3D(1, width=2, norm=norm), label_names=NAMES, window_hu=WINDOW)
        sizes = []
        segmenter.backbone.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
        volume = np.zeros((1, 16, 16, 40), np.int16)
        segment_volume(segmenter.eval(), volume, [True], crop_size=(16, 16, 16), overlap=0.5)
        return sizes

    assert batches_of("batch-statistics") == [1, 1, 1, 1]
    assert batches_of("instance") == [4]


def test_probabilities_add_up_to_one() -> None:
    volume = np.random.default_rng(0).integers(-500, 500, (1, 20, 9, 17)).astype(np.int16)
    found = segment_volume(small_segmenter(), volume, [True], crop_size=(16, 16, 16))
    assert found.shape == (3, 20, 9, 17)
    np.testing.assert_allclose(found.sum(0), 1.0, atol=1e-5)


def test_overlap_out_of_range() -> None:
    volume = np.zeros((1, 8, 8, 8), np.int16)
    with pytest.raises(ValueError, match=r"overlap must lie in \[0, 1\), got 1.0"):
        segment_volume(small_segmenter(), volume, [True], crop_size=(8, 8, 8), overlap=1.0)


def checkpoint_of(segmenter: Segmenter, **changes: object) -> Checkpoint:
    values = {
        "weights": dict(segmenter.state_dict()),
        "backbone": UNet3DConfig(width=2, norm="instance"),
        "in_channels": 1,
        "task": "segmentation",
        "contract": PreprocessingContract(),
        "window_hu": WINDOW,
        "crop_size": (16, 16, 16),
        "label_names": NAMES,
    }
    return Checkpoint(**(values | changes))  # type: ignore[arg-type]


def test_a_saved_segmenter_comes_back(tmp_path) -> None:
    segmenter = small_segmenter()
    save(checkpoint_of(segmenter), tmp_path / "best.safetensors")
    loaded, checkpoint = load_segmenter(tmp_path)
    assert not loaded.training
    assert loaded.label_names == NAMES
    assert checkpoint.crop_size == (16, 16, 16)
    volumes = torch.rand(1, 1, 16, 16, 16)
    assert torch.equal(loaded(volumes), segmenter(volumes))


def test_a_checkpoint_of_another_task_is_refused(tmp_path) -> None:
    save(checkpoint_of(small_segmenter(), task="pretraining"), tmp_path / "last.safetensors")
    with pytest.raises(SelfscanError, match=r"found a checkpoint of pretraining.*fine-tune"):
        load_segmenter(tmp_path)


def test_inference_takes_one_device() -> None:
    with pytest.raises(ValueError, match="got 2 and 1"):
        inference_fabric(EngineConfig(devices=2))

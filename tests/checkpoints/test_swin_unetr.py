"""Swin UNETR's weights: equal outputs in plain MONAI; every published form whole, or refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks import nets
from torch import Tensor, nn

from selfscan.checkpoints.checkpoint import Checkpoint, load, save
from selfscan.checkpoints.swin_unetr import (
    monai_weights,
    read_swin_encoder,
    write_monai_weights,
)
from selfscan.errors import SelfscanError
from selfscan.networks.patch_merging import LegacyPatchMerging
from selfscan.networks.swin_unetr import SwinUNETRConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract

SMALL = SwinUNETRConfig(feature_size=12)
HEADS = {
    "rotation_head.weight": torch.zeros(4, 192),
    "contrastive_head.weight": torch.zeros(8, 192),
    "norm.weight": torch.ones(192),
}


def checkpoint(network: nn.Module, **changes: object) -> Checkpoint:
    weights = {f"backbone.{name}": weight for name, weight in network.state_dict().items()}
    made = Checkpoint(
        weights={**weights, "head.weight": torch.ones(1)},
        backbone=SMALL,
        in_channels=1,
        task="pretraining",
        contract=PreprocessingContract(),
        window_hu=(-1000.0, 1000.0),
        crop_size=(64, 64, 64),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def plain(seed: int = 0, **arguments: Any) -> nets.SwinUNETR:
    torch.manual_seed(seed)
    return nets.SwinUNETR(in_channels=1, out_channels=3, feature_size=12, **arguments).eval()


def encoder_of(network: nets.SwinUNETR) -> dict[str, Tensor]:
    """The encoder's tensors by their names within it."""
    return dict(network.swinViT.state_dict())


def published(network: nets.SwinUNETR) -> dict[str, Tensor]:
    """The names in `model_swinvit.pt`, and the heads that lie beside them."""
    renamed = {
        re.sub(r"mlp\.linear([12])", r"mlp.fc\1", name): weight
        for name, weight in encoder_of(network).items()
    }
    conv = {"convTrans3d.weight": torch.zeros(192, 1, 2, 2, 2)}
    return {f"module.{name}": weight for name, weight in {**renamed, **HEADS, **conv}.items()}


def prefixed(network: nets.SwinUNETR, prefix: str) -> dict[str, Tensor]:
    """The names that a training script gives, and its heads."""
    start = "module." if prefix.startswith("module.") else ""
    encoder = {f"{prefix}{name}": weight for name, weight in encoder_of(network).items()}
    return encoder | {f"{start}{name}": weight for name, weight in HEADS.items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.pt"


@pytest.mark.slow
def test_a_random_network_of_monai_comes_back_equal_to_the_bit(tmp_path: Path, file: Path) -> None:
    original, other = plain(seed=1), plain(seed=2)
    ours = SMALL.build(1)
    own = {name: w for name, w in original.state_dict().items() if not name.startswith("out.")}
    ours.load_state_dict(own)
    save(checkpoint(ours), tmp_path / "best.safetensors")
    write_monai_weights(load(tmp_path), file, part="backbone")
    taken = other.load_state_dict(torch.load(file, weights_only=True), strict=False)
    assert taken.missing_keys == ["out.conv.conv.weight", "out.conv.conv.bias"]
    assert taken.unexpected_keys == []
    other.out.load_state_dict(original.out.state_dict())
    volumes = torch.rand(1, 1, 64, 32, 32)
    with torch.no_grad():
        assert torch.equal(other(volumes), original(volumes))


@pytest.mark.slow
def test_the_encoder_alone_is_all_of_monais_encoder(file: Path) -> None:
    original, other = plain(seed=1), plain(seed=2)
    write_monai_weights(checkpoint(original), file)
    weights = torch.load(file, weights_only=True)
    assert len(weights) == 126
    assert sum(name.endswith("relative_position_index") for name in weights) == 8
    decoder = {n: w.clone() for n, w in other.state_dict().items() if not n.startswith("swinViT.")}
    taken = other.load_state_dict(weights, strict=False)
    assert (set(taken.missing_keys), taken.unexpected_keys) == (set(decoder), [])
    for name, weight in other.state_dict().items():
        expected = decoder if name in decoder else original.state_dict()
        assert torch.equal(weight, expected[name])


def test_weights_do_not_leave_for_a_network_that_merges_otherwise() -> None:
    legacy = checkpoint(plain(), backbone=replace(SMALL, patch_merging="legacy"))
    with pytest.raises(
        SelfscanError, match=r"patch_merging='legacy'; expected 'fixed'.*downsample"
    ):
        monai_weights(legacy)
    assert len(monai_weights(legacy, patch_merging="legacy")) == 126
    with pytest.raises(SelfscanError, match="found a checkpoint of unet3d; expected one of swin-"):
        monai_weights(checkpoint(plain(), backbone=UNet3DConfig()))


@pytest.mark.slow
def test_the_published_form_is_read_as_what_it_was_trained_to_compute(file: Path) -> None:
    trained = plain(downsample=LegacyPatchMerging)
    torch.save({"state_dict": published(trained), "epoch": 1}, file)
    config, network, report = read_swin_encoder(file)
    assert config == replace(SMALL, patch_merging="legacy")
    assert report.share == 1.0
    assert (len(report.loaded), report.missing, report.adapted) == (126, (), {})
    assert report.skipped.keys() == {*HEADS, "convTrans3d.weight"}
    volumes = torch.rand(1, 1, 64, 32, 32)
    with torch.no_grad():
        ours, theirs = network.encode(volumes), trained.swinViT(volumes)
        today, _, _ = read_swin_encoder(file, patch_merging="fixed")
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert today.patch_merging == "fixed"


@pytest.mark.parametrize("prefix", ["swinViT.", "module.swinViT.", "swin_vit.", "module.swin_vit."])
@pytest.mark.parametrize("bare", [True, False])
def test_files_of_the_training_scripts_give_all_tensors(
    file: Path, prefix: str, bare: bool
) -> None:
    source = plain()
    weights = prefixed(source, prefix)
    torch.save(weights if bare else {"state_dict": weights, "global_step": 7}, file)
    old = "swin_vit." in prefix
    config, network, report = read_swin_encoder(file, patch_merging=None if old else "fixed")
    assert config == replace(SMALL, patch_merging="legacy" if old else "fixed")
    assert len(report.loaded) == 126
    assert set(report.skipped) == set(HEADS)
    for name, weight in encoder_of(source).items():
        assert torch.equal(network.state_dict()[f"swinViT.{name}"], weight)


def test_a_fine_tuned_network_gives_its_encoder(file: Path) -> None:
    source = plain()
    torch.save({"state_dict": source.state_dict()}, file)
    _, _, report = read_swin_encoder(file, patch_merging="legacy")
    assert len(report.loaded) == 126
    assert report.skipped["encoder1.layer.conv1.conv.weight"] == "not part of the encoder"
    assert report.skipped["out.conv.conv.weight"] == "the network has no such weight"
    with pytest.raises(
        SelfscanError, match="give patch_merging='fixed' if the network was trained"
    ):
        read_swin_encoder(file)


def test_sizes_follow_from_the_shapes(file: Path) -> None:
    sizes = {"depths": (1, 2, 3, 1), "window_size": 4}
    source = nets.SwinUNETR(1, 2, feature_size=24, num_heads=(2, 4, 8, 16), **sizes)
    save_as = {f"swinViT.{name}": weight for name, weight in source.swinViT.state_dict().items()}
    torch.save(save_as, file)
    config, _, _ = read_swin_encoder(file, patch_merging="fixed")
    assert config == SwinUNETRConfig(feature_size=24, heads=(2, 4, 8, 16), **sizes)  # type: ignore[arg-type]


@pytest.mark.slow
def test_more_channels_leave_a_repeated_image_as_it_was(file: Path) -> None:
    torch.save({"state_dict": published(plain())}, file)
    _, one, _ = read_swin_encoder(file)
    _, four, report = read_swin_encoder(file, in_channels=4)
    assert report.adapted == {"swinViT.patch_embed.proj.weight": "1 to 4 input channels"}
    assert len(report.loaded) == 125
    image = torch.rand(1, 1, 64, 32, 32)
    with torch.no_grad():
        levels = zip(four.encode(image.expand(-1, 4, -1, -1, -1)), one.encode(image), strict=True)
    for ours, theirs in levels:
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        "layers1.0.blocks.0.attn.relative_position_bias_table",
        "layers2.0.blocks.1.attn.relative_position_index",
        "layers3.0.blocks.1.mlp.fc2.bias",
        "layers4.0.downsample.norm.weight",
    ],
)
def test_one_tensor_missing_is_an_error_that_names_it(file: Path, name: str) -> None:
    weights = published(plain())
    del weights[f"module.{name}"]
    torch.save({"state_dict": weights}, file)
    with pytest.raises(SelfscanError, match=re.escape(name.replace("fc2", "linear2"))) as error:
        read_swin_encoder(file)
    assert str(file) in str(error.value)


def test_one_tensor_of_another_shape_is_an_error(file: Path) -> None:
    weights = published(plain())
    weights["module.layers4.0.blocks.0.norm1.weight"] = torch.ones(95)
    torch.save({"state_dict": weights}, file)
    with pytest.raises(
        SelfscanError,
        match=r"found 1 differences .*norm1\.weight: found shape \(95,\), expected \(96,\)",
    ):
        read_swin_encoder(file)


def test_the_second_version_of_the_network_is_refused(file: Path) -> None:
    torch.save(plain(use_v2=True).state_dict(), file)
    with pytest.raises(
        SelfscanError, match=r"layers1c\.0\.layer\.conv1\.conv\.weight: the network"
    ):
        read_swin_encoder(file, patch_merging="fixed")


def test_another_method_or_network_is_named(file: Path) -> None:
    names = ("encoder.mask_token", "encoder.layers1.0.0.blocks.0.norm1.weight")
    torch.save({"model": {name: torch.zeros(1) for name in names}}, file)
    with pytest.raises(SelfscanError, match="found an encoder of Disruptive Autoencoders"):
        read_swin_encoder(file)
    torch.save(nn.Linear(2, 2).state_dict(), file)
    with pytest.raises(SelfscanError, match=r"found no '.*' among 2 tensors, first weight, bias"):
        read_swin_encoder(file)
    torch.save(published(plain()) | {"module.patch_embed.proj.weight": torch.ones(20, 1)}, file)
    with pytest.raises(SelfscanError, match=r"cannot be built: feature_size .* got 20"):
        read_swin_encoder(file)

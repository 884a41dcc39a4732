"""Published U-Nets: every tensor of the encoder or an error, and what the network computes then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from published_transvw import filled, published_shapes
from torch import Tensor
from torch.nn import functional

from selfscan.checkpoints.unet3d import our_name, read_unet3d
from selfscan.errors import SelfscanError
from selfscan.networks.heads import RestorationHead
from selfscan.networks.unet3d import Norm, UNet3D, UNet3DConfig
from selfscan.networks.word_head import WordHead


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return filled(published_shapes())


@pytest.fixture(scope="module")
def small() -> dict[str, Tensor]:
    """The same at an eighth of the width."""
    shapes = {
        name: tuple(n // 8 if n >= 32 else n for n in shape)
        for name, shape in published_shapes().items()
    }
    return filled(shapes)


def saved(path: Path, tensors: dict[str, Tensor]) -> Path:
    """As the release saves it, with numbers beside."""
    torch.save({"epoch": 7, "best_acc": np.float64(0.5), "state_dict": tensors}, path)
    return path


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def y_network(tensors: dict[str, Tensor], norm: Norm) -> tuple[UNet3D, RestorationHead, WordHead]:
    """Backbone and both heads, filled from the published tensors."""
    backbone = UNet3D(norm=norm)
    restoration, head = RestorationHead(64), WordHead(512, words=44, norm=norm)
    own = {our_name(name): tensor for name, tensor in tensors.items()}
    strict = norm == "batch"
    kept = {name: own[name] for name in own if name.startswith(("down", "ups", "merges"))}
    backbone.load_state_dict(kept, strict=strict)
    restoration.convolution.load_state_dict(under(tensors, "out_tr.final_conv."))
    head.block[0].load_state_dict(under(tensors, "clc_out.conv1."))
    head.block[1].load_state_dict(under(tensors, "clc_out.bn1."), strict=strict)
    head.classifier.load_state_dict(under(tensors, "clc_out.fc1."))
    return backbone, restoration, head


def waves(size: tuple[int, int, int]) -> Tensor:
    b, i, j, k = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float64) for n in (2, *size)), indexing="ij"
    )
    return (0.5 + 0.5 * torch.sin(0.11 * i + 0.07 * j + 0.05 * k + b))[:, None]


def test_the_published_network_has_115_tensors(tensors: dict[str, Tensor]) -> None:
    assert len(tensors) == 115
    learned = [name for name in tensors if name.endswith((".weight", ".bias"))]
    assert len(learned) == 70
    assert sum(tensors[name].numel() for name in learned) == 33_277_613
    encoder = [name for name in learned if name.startswith("down_tr")]
    assert sum(tensors[name].numel() for name in encoder) == 7_027_776


@pytest.mark.parametrize(("words", "count"), [(44, 33_277_613), (45, 33_278_638), (50, 33_283_763)])
def test_the_y_network_is_the_unet_and_two_heads(words: int, count: int) -> None:
    with torch.device("meta"):
        parts = (UNet3D(), RestorationHead(64), WordHead(512, words=words))
    sizes = [sum(weight.numel() for weight in part.parameters()) for part in parts]
    assert sum(sizes) == count
    assert sizes[0] + sizes[1] == 19_073_665
    if words == 44:
        assert sizes[2] == 14_203_948
    with torch.device("meta"):
        encoder = UNet3D().encoder_parameters()
    assert sum(weight.numel() for weight in encoder) == 7_027_776


@pytest.mark.slow
@torch.no_grad()
def test_the_y_network_computes_the_published_function(tensors: dict[str, Tensor]) -> None:
    backbone, restoration, head = y_network(tensors, "batch-statistics")
    volumes = waves((32, 32, 16)).float()
    features = backbone.eval()(volumes)
    restored, logits = restoration(features.decoder[0]), head.eval()(features.encoder[-1])

    assert restored.mean().item() == pytest.approx(0.490773025453, abs=5e-5)
    assert restored.std(unbiased=False).item() == pytest.approx(0.034624087647, abs=5e-5)
    assert restored[0, 0, 10, 20, 5].item() == pytest.approx(0.486667068416, abs=5e-5)
    assert restored[1, 0, 31, 0, 15].item() == pytest.approx(0.480070046659, abs=5e-5)
    pooled = features.encoder[-1].mean(dim=(2, 3, 4)).sum(dim=1)
    assert pooled.tolist() == pytest.approx([43.9118137801, 252.8044544111], rel=2e-4)
    first = [0.036685519179, 0.014296801611, 0.017573701055, 0.040717223870]
    named = logits.softmax(dim=1)
    assert named[0, :4].tolist() == pytest.approx(first, abs=5e-5)
    assert named.max().item() == pytest.approx(0.066322848922, abs=5e-5)
    assert named.argmax(dim=1).tolist() == [3, 2]
    cross_entropy = functional.cross_entropy(logits, torch.tensor([3, 17]))
    error = functional.mse_loss(restored, volumes)
    assert cross_entropy.item() == pytest.approx(4.409192028618, abs=5e-5)
    assert error.item() == pytest.approx(0.128326415289, abs=5e-5)
    assert (error + 0.01 * cross_entropy).item() == pytest.approx(0.172418335575, abs=5e-5)

    # Statistics of the batch at hand: an item's output depends on the others.
    alone = restoration(backbone(volumes[:1]).decoder[0])
    change = (alone - restored[:1]).abs().max().item()
    assert change == pytest.approx(0.195208, abs=1e-4)


@torch.no_grad()
def test_running_statistics_move_as_published(tensors: dict[str, Tensor]) -> None:
    layers = UNet3D(norm="batch").double().down[0][0]
    layers[0].load_state_dict(under(tensors, "down_tr64.ops.0.conv1."))
    layers[1].load_state_dict(under(tensors, "down_tr64.ops.0.bn1."))
    layers.train()(waves((32, 32, 16)))
    assert layers[1].running_mean.sum().item() == pytest.approx(0.0191191583, abs=1e-9)
    assert layers[1].running_var.sum().item() == pytest.approx(28.9760257958, abs=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["batch-statistics", "batch"])
def test_evaluation_is_training_only_by_statistics_of_the_batch(norm: Norm) -> None:
    torch.manual_seed(0)
    backbone, head = UNet3D(width=2, norm=norm), WordHead(32, words=4, norm=norm)
    volumes = torch.rand(2, 1, 16, 16, 16)
    outputs = []
    for training in (True, False):
        features = backbone.train(training)(volumes)
        outputs.append((features.decoder[0], head.train(training)(features.encoder[-1])))
    same = [torch.equal(one, other) for one, other in zip(*outputs, strict=True)]
    assert same == [norm == "batch-statistics"] * 2
    alone = head(backbone(volumes[:1]).encoder[-1])
    assert torch.allclose(alone, outputs[1][1][:1], atol=1e-6) == (norm == "batch")


@pytest.mark.parametrize("prefix", ["", "module.", "classficationNet.", "module.classficationNet."])
def test_every_tensor_of_the_encoder_is_loaded_whatever_stands_before_it(
    small: dict[str, Tensor], tmp_path: Path, prefix: str
) -> None:
    beside = {"projection_head.0.weight": torch.ones(2), "prototypes.weight": torch.ones(2)}
    given = {prefix + name: tensor for name, tensor in (small | beside).items()}
    config, network, report = read_unet3d(saved(tmp_path / "a.pt", given), norm="batch")
    assert config == UNet3DConfig(width=4, norm="batch")
    assert sum(name.startswith("down.") for name in report.loaded) == 56
    assert len(report.loaded) == 104
    assert {name.split(".")[0] for name in report.skipped} == {
        "projection_head",
        "prototypes",
        "out_tr",
        "clc_out",
    }
    loaded = network.state_dict()
    for name, tensor in small.items():
        if name.startswith(("down", "up")):
            assert torch.equal(loaded[our_name(name)], tensor.to(loaded[our_name(name)].dtype))


def test_running_statistics_are_left_out_where_the_norm_has_none(
    small: dict[str, Tensor], tmp_path: Path
) -> None:
    config, network, report = read_unet3d(saved(tmp_path / "a.pt", small))
    assert config.norm == "batch-statistics"
    assert network.mixes_batch
    assert report.skipped["down.0.0.1.running_mean"] == "the network has no such weight"
    assert report.share == 1.0


@pytest.mark.parametrize("lost", ["down_tr512.ops.1.bn1.running_var", "down_tr64.ops.0.conv1.bias"])
def test_an_incomplete_encoder_is_refused(
    small: dict[str, Tensor], tmp_path: Path, lost: str
) -> None:
    path = saved(tmp_path / "a.pt", {n: t for n, t in small.items() if n != lost})
    with pytest.raises(SelfscanError, match=r"found 1 differences .* not in the file; expected"):
        read_unet3d(path)


def test_another_network_is_refused(tmp_path: Path, small: dict[str, Tensor]) -> None:
    with pytest.raises(SelfscanError, match=r"found no down_tr64\.ops\.0\.conv1\.weight among 1"):
        read_unet3d(saved(tmp_path / "a.pt", {"encoder.weight": torch.ones(2)}))
    wrong = small | {"down_tr128.ops.0.conv1.weight": torch.ones(8, 8, 1, 1, 1)}
    with pytest.raises(SelfscanError, match=r"found shape \(8, 8, 1, 1, 1\)"):
        read_unet3d(saved(tmp_path / "b.pt", wrong))


def test_an_encoder_without_its_decoder_is_enough(small: dict[str, Tensor], tmp_path: Path) -> None:
    encoder = {name: tensor for name, tensor in small.items() if name.startswith("down_tr")}
    _, _, report = read_unet3d(saved(tmp_path / "a.pt", encoder), in_channels=2, norm="batch")
    assert report.share == 1.0
    assert report.adapted == {"down.0.0.0.weight": "1 to 2 input channels"}

"""Loading: what is taken, what is adapted, and that too little is an error."""

from __future__ import annotations

import json

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from selfscan.checkpoints.loading import load_weights
from selfscan.errors import SelfscanError
from selfscan.networks.heads import RestorationHead
from selfscan.networks.unet3d import UNet3D


class Model(nn.Module):
    """A network with a head, as methods and segmenters are."""

    def __init__(self, *, channels: int = 1, head: nn.Module | None = None, width: int = 2) -> None:
        super().__init__()
        self.backbone = UNet3D(channels, width=width)
        self.head = head or RestorationHead(2 * width)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def test_equal_networks_give_all_of_it() -> None:
    source, target = Model(), Model()
    report = load_weights(target, source.state_dict(), minimum_share=1.0)
    assert all(torch.equal(w, weights(source)[name]) for name, w in weights(target).items())
    assert (report.share, report.missing, report.skipped, report.adapted) == (1.0, (), {}, {})
    assert report.parameters == sum(p.numel() for p in target.parameters())


def test_the_backbone_alone_leaves_the_head_as_it_was() -> None:
    source, target = Model(), Model()
    before = weights(target)
    report = load_weights(target, source.state_dict(), part="backbone")
    assert torch.equal(target.head.convolution.weight, before["head.convolution.weight"])
    assert set(report.skipped) == {"head.convolution.weight", "head.convolution.bias"}
    assert set(report.skipped.values()) == {"not part of the backbone"}
    assert report.share == 1.0


def test_heads_are_kept_where_they_fit_and_never_counted() -> None:
    source, target = Model(), Model()
    load_weights(target, source.state_dict(), part="backbone", keep_heads=True)
    assert torch.equal(target.head.convolution.weight, source.head.convolution.weight)
    other = Model(head=RestorationHead(4, channels=3))
    report = load_weights(other, source.state_dict(), part="backbone", keep_heads=True)
    assert report.share == 1.0
    assert report.skipped["head.convolution.bias"] == "found shape (1,), expected (3,)"


def test_the_encoder_alone_leaves_the_decoder_random() -> None:
    source, target = Model(), Model()
    before = weights(target)
    report = load_weights(target, source.state_dict(), part="encoder")
    encoder = {id(weight) for weight in target.backbone.encoder_parameters()}
    for name, weight in target.named_parameters():
        expected = source.state_dict() if id(weight) in encoder else before
        assert torch.equal(weight, expected[name])
    assert report.parameters == sum(w.numel() for w in target.backbone.encoder_parameters())


@pytest.mark.parametrize(("source_channels", "target_channels"), [(1, 3), (4, 1), (2, 3)])
def test_a_stem_for_other_channels_treats_a_repeated_image_as_before(
    source_channels: int, target_channels: int
) -> None:
    source, target = Model(channels=source_channels), Model(channels=target_channels)
    report = load_weights(target, source.state_dict())
    image = torch.rand(1, 1, 16, 16, 16)
    ours = target.backbone(image.expand(-1, target_channels, -1, -1, -1)).decoder[0]
    theirs = source.backbone(image.expand(-1, source_channels, -1, -1, -1)).decoder[0]
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert list(report.adapted) == ["backbone.down.0.0.0.weight"]
    assert report.adapted["backbone.down.0.0.0.weight"] == (
        f"{source_channels} to {target_channels} input channels"
    )
    assert report.share == 1.0


def test_too_little_is_an_error_and_changes_nothing() -> None:
    target = Model(width=2)
    before = weights(target)
    with pytest.raises(SelfscanError, match=r"of all in the checkpoint; expected at least 90%"):
        load_weights(target, Model(width=3).state_dict())
    with pytest.raises(SelfscanError, match=r"found 0\.0% .* not in the checkpoint"):
        load_weights(target, {})
    assert all(torch.equal(w, before[name]) for name, w in weights(target).items())


def test_prefixes_can_be_renamed_and_a_backbone_loaded_by_itself() -> None:
    source, target = Model(), UNet3D(width=2)
    report = load_weights(
        target, source.state_dict(), part="backbone", rename={"backbone.": ""}, minimum_share=1.0
    )
    assert torch.equal(target.down[0][0][0].weight, source.backbone.down[0][0][0].weight)
    assert report.skipped["head.convolution.bias"] == "the network has no such weight"


def test_a_module_without_backbone_has_no_such_part() -> None:
    with pytest.raises(ValueError, match="got Linear"):
        load_weights(nn.Linear(1, 1), {}, part="backbone")


def test_running_statistics_come_along() -> None:
    source, target = UNet3D(width=1, norm="batch"), UNet3D(width=1, norm="batch")
    source(torch.rand(2, 1, 16, 16, 16))
    load_weights(target, source.state_dict(), part="encoder")
    assert torch.equal(target.down[0][0][1].running_mean, source.down[0][0][1].running_mean)
    assert not torch.equal(target.merges[0][0][1].running_mean, source.merges[0][0][1].running_mean)


def test_the_report_can_be_read_by_people_and_programs() -> None:
    source, target = Model(channels=1), Model(channels=2, head=RestorationHead(4, channels=2))
    report = load_weights(target, source.state_dict(), part="backbone")
    told = json.loads(json.dumps(report.to_json()))
    assert told["share"] == 1.0
    assert told["adapted"] == {"backbone.down.0.0.0.weight": "1 to 2 input channels"}
    console = Console(width=120)
    with console.capture() as captured:
        console.print(report)
    table = captured.get()
    assert "100.0% of the parameters of backbone came from the checkpoint" in table
    assert "1 to 2 input channels" in table
    assert "head.convolution.weight and 1 more: not part of the backbone" in table

"""What methods share that distort a crop and learn to restore it: network, loss, four changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from selfscan.methods.method import Alarm, Method, Outcome, Views
from selfscan.networks.backbone import Backbone
from selfscan.networks.heads import RestorationHead
from selfscan.transforms.curve import CurveParameters, apply_curve, draw_curve
from selfscan.transforms.masking import (
    Fill,
    PaintParameters,
    apply_inpainting,
    apply_outpainting,
    draw_painting,
    inpainting_range,
    outpainting_range,
)
from selfscan.transforms.random import KeyedGenerator
from selfscan.transforms.shuffle import (
    ShuffleParameters,
    apply_shuffle,
    draw_shuffle,
    shuffle_range,
)
from selfscan.transforms.windows import WindowRange

_ADVICE = (
    "the restored crops are nearly uniform, so the network has collapsed to one gray value; start "
    "again with method.optimizer.learning_rate {:g}"
)


class Restoration(Method):
    """Restores the view `target` from the view `distorted`; the loss is the mean squared error.

    What `crops` are and how they are distorted is a subclass's own.

    Args:
        backbone: Needs a decoder that reaches full resolution.
        crop_size: Voxels along (X, Y, Z).
        name: Of the method, for errors.
        lower_rate: The learning rate to advise where the network collapses.
        weight: Of the loss.

    Raises:
        ValueError: The backbone has no such decoder, or cannot take crops of this size.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        crop_size: tuple[int, int, int],
        name: str,
        lower_rate: float,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        decoder = backbone.decoder_pyramid
        if not len(decoder) or decoder.strides[0] != (1, 1, 1):
            raise ValueError(
                f"{name} restores every voxel: it needs a backbone whose decoder starts at "
                f"stride (1, 1, 1), got {decoder.strides[:1] or 'no decoder'}"
            )
        backbone.check_size(crop_size)
        self.backbone = backbone
        self.head = RestorationHead(decoder.channels[0], channels=backbone.in_channels)
        self.weight = weight
        self.alarms = (Alarm(monitor="contrast", minimum=0.2, advice=_ADVICE.format(lower_rate)),)

    def forward(self, views: Views) -> Outcome:
        """Restore and compare; `contrast` is how much the restored voxels vary, to the target's."""
        restored, target = self.restore(views["distorted"]), views["target"]
        loss = self.weight * functional.mse_loss(restored, target)
        contrast = restored.detach().std() / target.std().clamp_min(1e-6)
        return Outcome(losses={"restoration": loss}, monitors={"contrast": contrast})

    def restore(self, distorted: Tensor) -> Tensor:
        """What the network takes for the undistorted crops, (B, C, X, Y, Z) in [0, 1], float32."""
        restored: Tensor = self.head(self.backbone(distorted).decoder[0])
        return restored

    @torch.no_grad()
    def illustrate(self, views: Views) -> dict[str, Tensor]:
        """The distorted crops, what the network restores, and what it should."""
        distorted = views["distorted"]
        return {"input": distorted, "output": self.restore(distorted), "target": views["target"]}


@dataclass(frozen=True)
class Changes:
    """The random parameters of four changes of a batch, each of which hits some examples.

    `shuffled`, `curved`, `inpainted` and `outpainted` hold their numbers within the batch, int64,
    and the parameters beside each are those of these alone.
    """

    shuffled: Tensor
    shuffle: ShuffleParameters
    curved: Tensor
    curve: CurveParameters
    inpainted: Tensor
    inpainting: PaintParameters
    outpainted: Tensor
    outpainting: PaintParameters


def window_ranges(
    size: tuple[int, int, int],
    *,
    border: int,
    shuffle_max_window: int | None,
    inpaint_window: tuple[float, float],
    outpaint_removed: tuple[float, float],
) -> tuple[WindowRange, WindowRange, WindowRange]:
    """The windows to shuffle, to paint and to keep in a crop, as `draw_changes` takes them.

    Raises:
        ValueError: An axis is too short for one of them.
    """
    return (
        shuffle_range(size, max_window=shuffle_max_window),
        inpainting_range(size, window=inpaint_window, border=border),
        outpainting_range(size, removed=outpaint_removed, border=border),
    )


def draw_changes(
    random: KeyedGenerator,
    hit: tuple[Tensor, Tensor, Tensor, Tensor],
    ranges: tuple[WindowRange, WindowRange, WindowRange],
    *,
    shuffle_windows: int,
    inpaint_windows: tuple[int, int],
    outpaint_windows: tuple[int, int],
    continue_probability: float = 0.95,
) -> Changes:
    """Draw the parameters of the four changes for the examples that each hits.

    Args:
        random: One stream an example.
        hit: Which examples are shuffled, bent in intensity, in-painted, out-painted, (B,) each.
        ranges: The windows to shuffle, to paint and to keep.
        shuffle_windows: Windows that are shuffled.
        inpaint_windows: Windows painted, at least and at most.
        outpaint_windows: Windows kept, at least and at most.
        continue_probability: Of going on, before each window after the least of these.
    """
    shuffled, curved, inpainted, outpainted = (rows.nonzero().flatten() for rows in hit)
    windows, painted, kept = ranges
    return Changes(
        shuffled,
        draw_shuffle(random.branch(shuffled), windows, windows=shuffle_windows),
        curved,
        draw_curve(random.branch(curved)),
        inpainted,
        draw_painting(
            random.branch(inpainted),
            painted,
            least=inpaint_windows[0],
            most=inpaint_windows[1],
            continue_probability=continue_probability,
        ),
        outpainted,
        draw_painting(
            random.branch(outpainted),
            kept,
            least=outpaint_windows[0],
            most=outpaint_windows[1],
            continue_probability=continue_probability,
        ),
    )


def apply_changes(
    volumes: Tensor, parameters: Changes, *, fill: Fill, knots: int, levels: int | None = None
) -> Tensor:
    """Shuffle, bend intensities, and paint, in this order; the argument stays as it is.

    Args:
        volumes: In [0, 1], shape (B, C, X, Y, Z), float32.
        parameters: What hits which example.
        fill: Of painted voxels.
        knots: As for `apply_curve`.
        levels: As for `apply_curve`.
    """
    p, changed = parameters, volumes.clone()
    for numbers, change in (
        (p.shuffled, partial(apply_shuffle, parameters=p.shuffle)),
        (p.curved, partial(apply_curve, parameters=p.curve, knots=knots, levels=levels)),
        (p.inpainted, partial(apply_inpainting, parameters=p.inpainting, fill=fill)),
        (p.outpainted, partial(apply_outpainting, parameters=p.outpainting, fill=fill)),
    ):
        if len(numbers):
            changed.index_copy_(0, numbers, change(changed.index_select(0, numbers)))
    return changed

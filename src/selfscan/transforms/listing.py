"""The voxels of many windows as one long list, window after window.

What happens to all windows is then computed at once, whatever their sizes; where windows overlap, a
voxel is listed more than once, and the last of them counts.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from selfscan.transforms.windows import Windows

Shape = tuple[int, int, int, int]


def listed_voxels(windows: Windows, shape: Shape, *, most: int) -> tuple[Tensor, Tensor]:
    """Which voxels of a batch (B, C, X, Y, Z) lie in its windows.

    The length of a list is not known without waiting for the device. So on a CPU the list is as
    long as it must be, and elsewhere as long as it may be, filled up with what lies past the end.

    Args:
        windows: n windows of every example, in all channels; one with a size of 0 has no voxels.
        shape: Of an example, (C, X, Y, Z).
        most: How many voxels the windows of one example have together, at most.

    Returns:
        Flat places in the batch, then the number of the window, which is b * n + k for window k of
        example b; both int64. What fills up has the place B * C * X * Y * Z and the number B * n.
    """
    device, (examples, count) = windows.starts.device, windows.starts.shape[:2]
    strides, voxels = (shape[2] * shape[3], shape[3], 1), math.prod(shape[1:])
    past, most = examples * math.prod(shape), examples * shape[0] * most
    # A listed number has the window in its highest bits, then the place.
    place_bits = past.bit_length()
    end = (examples * count << place_bits) + past

    x, y, z = windows.starts.unbind(2)
    corners = x * strides[0] + y * strides[1] + z
    corners += torch.arange(0, past, math.prod(shape), device=device)[:, None]
    numbers = torch.arange(examples * count, device=device).bitwise_left_shift_(place_bits)
    apart = torch.arange(0, math.prod(shape), voxels, device=device)
    listed = (numbers + corners.flatten())[:, None] + apart
    # One more window, of no voxels, to go on where the list is filled up.
    listed = pad(listed.flatten(), (0, 1), value=end)
    sizes = pad(windows.sizes.flatten(0, 1), (0, 0, 0, 1))
    for axis, stride in enumerate(strides):
        lengths = sizes[:, axis].index_select(0, listed >> place_bits)
        listed = runs(listed, lengths, stride, _list_length(lengths, most)).clamp_(max=end)
    return listed & ((1 << place_bits) - 1), listed.bitwise_right_shift_(place_bits)


def runs(starts: Tensor, lengths: Tensor, step: int, total: int) -> Tensor:
    """The numbers s, s + step, s + 2 step, ... of all runs, one after another, shape (total,).

    Args:
        starts: Of n runs, shape (n,), int64.
        lengths: How many numbers a run has, shape (n,), int64.
        step: Between two numbers of a run; sums wrap around.
        total: What the lengths add up to, or more: then the last run goes on.
    """
    # A running sum of steps, with a jump wherever a run starts.
    firsts = lengths.cumsum(0) - lengths
    jumps = (starts - (firsts + 1) * step).diff(prepend=starts.new_zeros(1))
    steps = starts.new_full((total + 1,), step).index_add_(0, firsts, jumps)
    return steps.cumsum_(0)[:total]


def write_last(target: Tensor, places: Tensor, values: Tensor) -> None:
    """Set target[places] = values in place; where a place is given twice its last value counts."""
    if target.device.type == "cpu":
        target.numpy()[places.numpy()] = values.numpy()  # in this order, as NumPy promises
    else:
        write_last_in_parallel(target, places, values)


def write_last_in_parallel(target: Tensor, places: Tensor, values: Tensor) -> None:
    """`write_last` for a device that writes in no order: the highest number of a place decides."""
    numbers = torch.arange(len(places), device=places.device)
    last = torch.full_like(target, -1, dtype=torch.int64).scatter_reduce_(
        0, places, numbers, "amax"
    )
    written = last.clamp_min(0)
    target.copy_(torch.where(last < 0, target, values[written]))


def _list_length(lengths: Tensor, most: int) -> int:
    return int(lengths.sum()) if lengths.device.type == "cpu" else most

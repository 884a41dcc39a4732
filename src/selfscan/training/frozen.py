"""A backbone that is only looked at: the features of single voxels, and a head's map of a scan.

The feature of a voxel is the concatenation, over all levels of a pyramid, of the cell that the
voxel lies in (Goncharov et al., "vox2vec", MICCAI 2023). The pyramid is the dense one, or that of
the encoder where nothing else was trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from selfscan.checkpoints.loading import LoadReport, load_weights
from selfscan.networks.backbone import Backbone, Features, Part, Pyramid
from selfscan.networks.pyramid_heads import enlarge
from selfscan.networks.voxels import voxel_features
from selfscan.scans.store import Store
from selfscan.training.segmentation import Size, slide, windows_at_once
from selfscan.training.start import Start
from selfscan.training.voxel_head import VoxelHead
from selfscan.transforms.intensity import to_unit

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FrozenBackbone:
    """A backbone in evaluation mode, and how whole scans pass it window by window.

    Attributes:
        network: On the device of `fabric`.
        window_hu: The window of CT channels.
        crop_size: The size of a window, in voxels.
        overlap: Share of a window that its neighbor covers too.
        fabric: Device and precision.
        part: What of the network gives the features.
    """

    network: Backbone
    window_hu: tuple[float, float]
    crop_size: Size
    overlap: float
    fabric: Fabric
    part: Part = "backbone"

    @property
    def pyramid(self) -> Pyramid:
        """Sizes of `levels`."""
        network = self.network
        return network.encoder_pyramid if self.part == "encoder" else network.dense_pyramid

    def levels(self, volumes: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps that give the features of volumes (B, C, X, Y, Z), fine to coarse."""
        with self.fabric.autocast():
            if self.part == "encoder":
                return self.network.encode(volumes)
            features: Features = self.network(volumes)
            return features.dense

    def features(self, store: Store, i: int, positions: Positions) -> Tensor:
        """Compute the features of voxels of a scan; see `window_features`.

        Args:
            store: Where the scan is.
            i: Its number.
            positions: The voxels, (N, 3).

        Returns:
            Shape (N, F), float32, in main memory; F adds up the channels of all levels.
        """
        found = torch.empty(len(positions), sum(self.pyramid.channels))
        for chosen, features in self.window_features(store.read(i), store[i].hounsfield, positions):
            found[chosen] = features
        return found

    @torch.no_grad()
    def window_features(
        self, volume: npt.NDArray[np.int16], hounsfield: Sequence[bool], positions: Positions
    ) -> Iterator[tuple[npt.NDArray[np.int64], Tensor]]:
        """Compute the features of voxels, each in the window it lies most central in.

        Only windows that hold one of the voxels are computed.

        Args:
            volume: As stored, (C, X, Y, Z).
            hounsfield: Which channels are CT, C of them.
            positions: The voxels, (N, 3).

        Yields:
            For each window, which of the voxels are looked up in it, (M,), and their features,
            (M, F), float32, in main memory.
        """
        stored = torch.from_numpy(np.ascontiguousarray(volume))[None]
        units = to_unit(stored, torch.tensor([list(hounsfield)]), window_hu=self.window_hu)
        missing = [max(c - s, 0) for c, s in zip(self.crop_size, units.shape[2:], strict=True)]
        units = functional.pad(units, [p for m in reversed(missing) for p in (m // 2, m - m // 2)])
        places = positions + np.array([m // 2 for m in missing])
        shape = tuple(units.shape[2:])
        corners = np.ravel_multi_index(tuple(self._nearest_windows(places, shape).T), shape)
        for corner in np.unique(corners):
            chosen = np.flatnonzero(corners == corner)
            start = np.array(np.unravel_index(corner, shape))
            x, y, z = (slice(s, s + c) for s, c in zip(start, self.crop_size, strict=True))
            levels = self.levels(units[..., x, y, z].to(self.fabric.device))
            features = voxel_features(
                levels,
                self.pyramid.strides,
                torch.zeros(len(chosen), dtype=torch.int64),
                torch.from_numpy(places[chosen] - start),
            )
            yield chosen, features.to("cpu", torch.float32)

    def logits(self, head: VoxelHead, store: Store, i: int) -> npt.NDArray[Any]:
        """The head's logits of every voxel of a scan, (K, X, Y, Z), float32."""

        def network(windows: Tensor) -> Tensor:
            levels = self.levels(windows)
            with torch.autocast(windows.device.type, enabled=False):
                logits = head([level.float() for level in levels])
            return enlarge(logits, self.pyramid.strides[0], windows.shape[2:])

        return slide(
            network,
            store.read(i),
            store[i].hounsfield,
            window_hu=self.window_hu,
            crop_size=self.crop_size,
            at_once=windows_at_once(self.network),
            overlap=self.overlap,
            device=self.fabric.device,
        ).numpy()

    def _nearest_windows(self, places: Positions, shape: Sequence[int]) -> Positions:
        """Starts (N, 3) of the windows whose centers are nearest to places (N, 3)."""
        nearest = []
        for axis, (length, size) in enumerate(zip(shape, self.crop_size, strict=True)):
            step = max(int(size * (1 - self.overlap)), 1)
            starts = np.append(np.arange(0, length - size, step), length - size)
            distance = np.abs(starts + (size - 1) / 2 - np.arange(length)[:, None])
            nearest.append(starts[distance.argmin(1)][places[:, axis]])
        return np.stack(nearest, axis=1)


def freeze(
    start: Start, *, seed: int, overlap: float, fabric: Fabric, trained: bool = True
) -> tuple[FrozenBackbone, LoadReport | None]:
    """The network of a start, with its checkpoint's weights or with random ones.

    Args:
        start: From a checkpoint or not.
        seed: Of the random weights.
        overlap: Share of a window that its neighbor covers too.
        fabric: Device and precision.
        trained: Whether the checkpoint's weights are loaded, where there is one.

    Returns:
        The network, and what was loaded; None where nothing was.

    Raises:
        SelfscanError: The weights do not fit the network.
        ValueError: The network cannot take crops of this size.
    """
    network = start.build(seed=seed).eval()
    report = None
    if trained and start.checkpoint:
        weights = start.checkpoint.weights
        report = load_weights(network, weights, part=start.part, rename={"backbone.": ""})
    frozen = FrozenBackbone(
        network.to(fabric.device), start.window_hu, start.crop_size, overlap, fabric, start.part
    )
    return frozen, report

"""Embeddings as colors on slices of several patients: the same anatomy should get the same color.

One principal component analysis serves all patients; its first three components become red, green
and blue. Nothing but a voxel's embedding decides its color.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from selfscan.evaluation.embedding_picture import ColoredScan
from selfscan.evaluation.landmarks import organ_middles
from selfscan.evaluation.retrieval import Standard, gather
from selfscan.evaluation.slices import Spacing, gray_values, slices_through
from selfscan.scans.store import Store
from selfscan.training.frozen import FrozenBackbone

Array = npt.NDArray[Any]
_POINTS = 160  # along the longer side of a slice, at most: pictures are small
_RANGE = (1, 99)  # percentiles of a component that become no and full color
_SAMPLE = 20_000  # voxels that the components are fitted to


def color_scans(frozen: FrozenBackbone, scans: Store) -> list[ColoredScan]:
    """Color three slices of each scan by the embeddings of their voxels.

    The slices run through the middle of the labelled organs, which shows patients at like places,
    or of the body.
    """
    cuts = [_cut(scans, i) for i in range(len(scans))]
    embeddings = [
        gather(
            partial(frozen.window_features, scans.read(i), scans[i].hounsfield),
            np.concatenate(cut.voxels),
        )
        for i, cut in enumerate(cuts)
    ]
    colors = _as_colors(embeddings)
    return [
        ColoredScan(scans[i].id, cut.spacing, cut.images, cut.painted(colors[i]))
        for i, cut in enumerate(cuts)
    ]


def different_patients(scans: Store, count: int) -> Store:
    """The first scan of each of the first so many patients, in order; all where there are fewer."""
    first: dict[str, str] = {}
    for subject, id in zip(scans.subjects, scans.ids, strict=True):
        first.setdefault(subject, id)
    return scans.select(ids=list(first.values())[:count])


@dataclass(frozen=True)
class _Cut:
    """Three slices of a scan: gray values, which points lie in the body, and their voxels."""

    spacing: Spacing
    images: tuple[Array, ...]
    bodies: tuple[Array, ...]
    voxels: tuple[Array, ...]

    def painted(self, colors: Array) -> tuple[Array, ...]:
        """The slices with the colors (N, 3) of all their voxels, in order."""
        ends = np.cumsum([len(voxels) for voxels in self.voxels])[:-1]
        slices = [np.zeros((*body.shape, 3), np.float32) for body in self.bodies]
        for image, body, values in zip(slices, self.bodies, np.split(colors, ends), strict=True):
            image[body] = values
        return tuple(slices)


def _cut(scans: Store, i: int) -> _Cut:
    record, body = scans[i], scans.read_foreground(i)
    step = -(-max(record.shape) // _POINTS)
    place = [int(center) // step for center in _middle(scans, i, body)]
    gray = gray_values(scans.read(i)[0], hounsfield=record.hounsfield[0])[::step, ::step, ::step]
    images, bodies, voxels = [], [], []
    slices = [slices_through(volume, place) for volume in (gray, body[::step, ::step, ::step])]
    for plane, (image, points) in enumerate(zip(*slices, strict=True)):
        box = _box(points)
        images.append(image[box])
        bodies.append(points[box])
        # The axial slice lies across Z, the coronal across Y, the sagittal across X.
        across = 2 - plane
        voxels.append(step * np.insert(np.argwhere(points), across, place[across], axis=1))
    x, y, z = (step * length for length in record.spacing)
    return _Cut((x, y, z), tuple(images), tuple(bodies), tuple(voxels))


def _middle(scans: Store, i: int, body: Array) -> Array:
    """The middle one of the organs along each axis; of the body, where no organ is labelled."""
    if scans[i].labelled:
        organs = organ_middles(scans.read_labels(i), scans.label_names, scans[i].spacing)
        if organs:
            return np.median(list(organs.values()), axis=0)
    return np.array([np.median(places) for places in np.nonzero(body)])


def _box(points: Array) -> tuple[slice, ...]:
    """The box of the true points of a slice; all of it where none is true."""
    places = np.argwhere(points)
    if not len(places):
        return (slice(None), slice(None))
    return tuple(map(slice, places.min(axis=0), places.max(axis=0) + 1))


def _as_colors(embeddings: Sequence[Array]) -> list[Array]:
    """Colors (N, 3) in [0, 1] of the embeddings (N, F) of each scan."""
    whole = np.concatenate(embeddings)
    sample = whole[:: -(-len(whole) // _SAMPLE)]
    standard = Standard.of(sample)
    standardized = (sample - standard.mean) / standard.spread
    components = PCA(3, svd_solver="randomized", random_state=0).fit(standardized)
    low, high = np.percentile(components.transform(standardized), _RANGE, axis=0)
    width = np.where(high > low, high - low, 1)
    return [
        np.clip(
            (components.transform((values - standard.mean) / standard.spread) - low) / width, 0, 1
        )
        for values in embeddings
    ]

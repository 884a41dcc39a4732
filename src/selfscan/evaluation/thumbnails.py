"""A scan at a glance: three slices to scale in one small image, and its intensities."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from selfscan.errors import ScanError
from selfscan.evaluation.slices import PLANES, extent_mm, gray_values, hung, slices_through
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.formats.dicom import read_every_series
from selfscan.scans.preparation.geometry import spacing_of
from selfscan.scans.read import read
from selfscan.scans.scan import BURNED_IN
from selfscan.scans.store import Store

WIDTH, HEIGHT = 300, 108  # at most, in pixels, of all three planes beside one another
LEVELS = (np.arange(256) + 0.5) / 256  # of the quantiles that stand for a scan's intensities
_GAP = 2
_QUALITY = 62
_VOXELS = 400_000  # of the body, evenly taken, that the quantiles are of

Spacing = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen of one scan.

    Attributes:
        image: Its slices as a `data:` address; None where it cannot be read.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        modality: Of each channel; the first one is shown.
        shape: Voxels along (X, Y, Z).
        spacing: Millimeters along (X, Y, Z).
        levels: 256 quantiles of the body's intensities in the units of the file, HU for CT.
        trouble: Why there is no image.
    """

    image: str | None = None
    width: int = 0
    height: int = 0
    modality: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    levels: npt.NDArray[np.float64] | None = None
    trouble: str = ""


def look_at(task: tuple[int, Store | Path]) -> Look:
    """Look at a store of one scan, or at a file: a task of a worker, with its number."""
    _, what = task
    return look_at_scan(what) if isinstance(what, Store) else look_at_file(what)


def look_at_scan(store: Store) -> Look:
    """Look at the only scan of a store; text in its pixels may be a name, and is not pictured."""
    (record,) = store
    try:
        volume, foreground = store.read(0), store.read_foreground(0)
    except ScanError as error:
        return Look(trouble=f"found {error.found} in the store")
    image, width, height = (
        (None, 0, 0)
        if record.burned_in
        else strip(volume[0], foreground, record.spacing, hounsfield=record.hounsfield[0])
    )
    body = volume[0][foreground]
    values = body[:: max(len(body) // _VOXELS, 1)] * record.intensity_slope[0]
    levels = np.quantile(values + record.intensity_intercept[0], LEVELS)
    return Look(image, width, height, record.modality, record.shape, record.spacing, levels)


def look_at_file(path: Path) -> Look:
    """Look at a file, or a folder of DICOM, that was left out, where it can still be read."""
    if not path.exists():
        return Look(trouble="the file is not where it was")
    try:
        scan = read_every_series(path)[0][0] if path.is_dir() else read([path])
        prepared = PreprocessingContract().apply(scan)
    except (ScanError, OSError, IndexError):
        return Look(trouble="cannot be shown")
    if any(BURNED_IN in warning for warning in scan.warnings):
        return Look(trouble="not pictured, as text stands in the pixels")
    spacing = spacing_of(prepared.affine)
    image, width, height = strip(
        prepared.volume[0], prepared.foreground, spacing, hounsfield=prepared.hounsfield[0]
    )
    return Look(image, width, height, prepared.modality, scan.shape, spacing)


def strip(
    channel: npt.NDArray[np.int16],
    foreground: npt.NDArray[np.bool_],
    spacing: Spacing,
    *,
    hounsfield: bool,
) -> tuple[str, int, int]:
    """The axial, coronal and sagittal slice through the middle of the body, beside one another.

    All have one scale, so that they can be compared, and bottoms are aligned.

    Returns:
        A `data:` address, its width and its height in pixels.
    """
    place = [_middle(foreground.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    cuts = slices_through(channel, place)
    extents = [extent_mm(cut, plane, spacing) for plane, cut in enumerate(cuts)]
    gaps = _GAP * (len(PLANES) - 1)
    scale = min(
        (WIDTH - gaps) / sum(right for _, right, _, _ in extents),
        HEIGHT / max(top for *_, top in extents),
    )
    sizes = [(max(round(r * scale), 1), max(round(t * scale), 1)) for _, r, _, t in extents]
    width, height = sum(wide for wide, _ in sizes) + gaps, max(tall for _, tall in sizes)
    canvas, left = Image.new("L", (width, height)), 0
    for cut, (wide, tall) in zip(cuts, sizes, strict=True):
        gray = np.rint(255 * gray_values(cut, hounsfield=hounsfield)).astype(np.uint8)
        panel = Image.fromarray(np.ascontiguousarray(hung(gray)[::-1]))
        canvas.paste(panel.resize((wide, tall), Image.Resampling.BILINEAR), (left, height - tall))
        left += wide + _GAP
    return _encoded(canvas), width, height


def _middle(inside: Any) -> int:
    """The position halfway between the first and the last true one."""
    places = np.flatnonzero(inside)
    return int(places[0] + places[-1]) // 2 if len(places) else len(inside) // 2


def _encoded(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

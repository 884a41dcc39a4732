"""The headers of DICOM slices, and whether the slices of a series are one evenly spaced volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK

from selfscan.errors import ScanError
from selfscan.scans.formats.elements import lengths_fit

# Scanners round positions; a lost slice changes a step by all of it.
STEP_TOLERANCE = 0.1
_SAME_POSITION_MM = 1e-3
_ORIENTATION_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SliceHeader:
    """What one DICOM file says of itself; geometry in mm and LPS, None where it says nothing."""

    path: Path
    series: str
    uid: str
    sop_class: str
    image_type: tuple[str, ...]
    burned_in: bool
    modality: str
    subject: str | None
    gray: bool
    frames: int
    size: tuple[int, int]
    spacing: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    position: tuple[float, ...] | None


@dataclass(frozen=True)
class Stack:
    """Slices in the order of their positions.

    Attributes:
        headers: The slices along their normal.
        normal: Unit vector (3,), LPS.
        middle_mm: Where the stack's middle lies along the normal.
        step_mm: Distance between neighbors along the normal.
        tilt_degrees: Angle between the direction of the stack and the normal.
    """

    headers: tuple[SliceHeader, ...]
    normal: npt.NDArray[np.float64]
    middle_mm: float
    step_mm: float
    tilt_degrees: float


def read_slice_header(path: Path) -> SliceHeader | None:
    """The header of a DICOM file with pixels; None for other objects and damaged files."""
    if not lengths_fit(path):
        return None
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None

    def text(tag: str) -> str:
        return str(reader.GetMetaData(tag)).strip(" \0") if reader.HasMetaDataKey(tag) else ""

    size = reader.GetSize()
    return SliceHeader(
        path=path,
        series=text("0020|000e"),
        uid=text("0008|0018"),
        sop_class=text("0008|0016"),
        image_type=tuple(word.strip().upper() for word in text("0008|0008").split("\\")),
        burned_in=text("0028|0301").upper() == "YES",
        modality=text("0008|0060").upper(),
        subject=text("0010|0020") or None,
        gray=reader.GetNumberOfComponents() == 1 and text("0028|0004") != "PALETTE COLOR",
        frames=int(size[2]) if len(size) > 2 else 1,
        size=(int(size[0]), int(size[1])),
        spacing=_numbers(text("0028|0030"), 2),
        orientation=_numbers(text("0020|0037"), 6),
        position=_numbers(text("0020|0032"), 3),
    )


def stack_slices(folder: Path, headers: Sequence[SliceHeader]) -> Stack:
    """Put single-frame slices of one series in order, or say why they are no volume.

    Raises:
        ScanError: One slice only, differing orientations or pixels, repeated positions, or gaps
            that differ by more than a tenth.
    """
    if len(headers) < 2:
        raise ScanError(
            folder,
            found="one slice",
            expected="a series of two slices or more",
            remedy="give the whole series",
        )
    orientation, positions = _geometry(folder, headers)
    normal = np.cross(orientation[:3], orientation[3:])
    normal /= np.linalg.norm(normal)
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    steps = np.diff(positions[order], axis=0)
    gaps = steps @ normal
    repeated = int(np.count_nonzero(gaps < _SAME_POSITION_MM))
    if repeated:
        raise ScanError(
            folder,
            found=f"{len(headers)} slices at {len(headers) - repeated} position(s): "
            "several volumes (time, diffusion, echoes) or copies in one series",
            expected="one volume with a slice at each position",
            remedy="export one volume of it as a series of its own",
        )
    typical = np.median(steps, axis=0)
    uneven = np.linalg.norm(steps - typical, axis=1) > STEP_TOLERANCE * float(np.median(gaps))
    if uneven.any():
        place = int(np.flatnonzero(uneven)[0])
        raise ScanError(
            folder,
            found=f"uneven gaps of {gaps.min():.4g} to {gaps.max():.4g} mm (the first after slice "
            f"{place + 1} of {len(headers)})",
            expected=f"even gaps, here {np.median(gaps):.4g} mm",
            remedy="slices are missing: export the whole series, or resample it to even gaps",
        )
    cosine = float(typical @ normal) / float(np.linalg.norm(typical))
    return Stack(
        headers=tuple(headers[index] for index in order),
        normal=normal,
        middle_mm=float(heights.min() + heights.max()) / 2,
        step_mm=float(gaps.mean()),
        tilt_degrees=float(np.degrees(np.arccos(min(1.0, cosine)))),
    )


def _geometry(
    folder: Path, headers: Sequence[SliceHeader]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The orientation (6,) that all slices share, and the position (N, 3) of each."""
    placed = [
        (header.orientation, header.position)
        for header in headers
        if header.orientation and header.position and header.spacing
    ]
    if len(placed) < len(headers):
        raise ScanError(
            folder,
            found=f"{len(headers) - len(placed)} of {len(headers)} slices without geometry",
            expected="ImagePositionPatient, ImageOrientationPatient and PixelSpacing in each",
            remedy="export the original series, not screen captures of it",
        )
    orientations = np.array([orientation for orientation, _ in placed])
    turned = np.abs(orientations - orientations[0]).max() > _ORIENTATION_TOLERANCE
    if turned or len({(header.size, header.spacing) for header in headers}) > 1:
        raise ScanError(
            folder,
            found="slices of several orientations or pixel sizes in one series (a localizer?)",
            expected="parallel slices of one pixel size",
            remedy="leave it out, or export each orientation as a series of its own",
        )
    return orientations[0], np.array([position for _, position in placed])


def _numbers(text: str, count: int) -> tuple[float, ...] | None:
    """Backslash-separated decimals (DICOM value multiplicity), or None where they are not so."""
    try:
        values = tuple(float(word) for word in text.split("\\"))
    except ValueError:
        return None
    return values if len(values) == count and np.isfinite(values).all() else None

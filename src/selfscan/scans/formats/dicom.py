"""DICOM series to scans: judged slice by slice by their headers, then converted by dcm2niix.

dcm2niix (Li et al. 2016, doi 10.1016/j.jneumeth.2016.03.001) decodes the transfer syntaxes and
knows the vendors. Nothing is written outside of a temporary folder, which holds no patient field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from selfscan.errors import ScanError
from selfscan.scans.formats.convert import convert_series
from selfscan.scans.formats.copies import without_copies
from selfscan.scans.formats.nifti import read_nifti
from selfscan.scans.formats.objects import holds_slices, object_name, stored_class
from selfscan.scans.formats.slices import (
    STEP_TOLERANCE,
    SliceHeader,
    Stack,
    read_slice_header,
    stack_slices,
)
from selfscan.scans.inputs.contents import first_bytes, is_dicom, passed_over
from selfscan.scans.limits import require_room, require_voxels
from selfscan.scans.preparation.grid import require_volume
from selfscan.scans.preparation.values import require_values
from selfscan.scans.scan import BURNED_IN, Modality, Scan

_MODALITIES: dict[str, Modality] = {"CT": "ct", "MR": "mr", "PT": "pt"}
_TILT_DEGREES = 0.5
_TILTED = "gantry tilt: the slices were shifted onto a straight grid, voxels are interpolated"
_DERIVED = "derived from other images (ImageType DERIVED): reformatted, filtered or computed"


def read_series(source: Path | str | Sequence[Path | str]) -> list[Scan]:
    """Read each series of a DICOM folder, or of a list of files, as one scan.

    Raises:
        ScanError: No series can be used.
    """
    scans, refused = read_every_series(source)
    if scans:
        return scans
    raise refused[0]


def read_every_series(
    source: Path | str | Sequence[Path | str],
) -> tuple[list[Scan], list[ScanError]]:
    """Read what can be read, and say of each other series why it cannot.

    Objects without slices (pictures, masks, contours, doses, reports), localizers and damaged
    files are among what is refused, by series where they have one. Files that are no DICOM are
    counted in the warnings of the scans. One of the two lists may be empty, not both.

    Args:
        source: A folder, whose own files are read and not its sub-folders', or DICOM files.
    """
    folder, files = _files(source)
    groups: dict[tuple[object, ...], list[SliceHeader]] = {}
    scans: list[Scan] = []
    refused: list[ScanError] = []
    strangers = 0
    for path in files:
        if not is_dicom(path):
            strangers += 1
        elif (header := read_slice_header(path)) is None:
            refused.append(_without_image(path))
        else:
            own = path if header.frames > 1 else None
            kind = (header.sop_class, header.modality, _is_localizer(header))
            groups.setdefault((header.series, *kind, own), []).append(header)
    if not groups and not refused:
        return [], [_no_image(folder, files)]
    alone = len(groups) == 1 and not refused
    note = (f"{strangers} files beside it are no DICOM: left out",) if strangers else ()
    for group in groups.values():
        name = folder if alone else group[0].path
        try:
            scans += [scan.with_warnings(*note) for scan in _convert(name, group)]
        except ScanError as error:
            refused.append(error)
    return scans, refused


def _files(source: Path | str | Sequence[Path | str]) -> tuple[Path, list[Path]]:
    """The path that names the source in messages, and its files in order."""
    if not isinstance(source, (str, Path)):
        files = sorted(Path(path) for path in source)
        if not files:
            raise ValueError("a series needs at least one file, got none")
        return files[0].parent if len(files) > 1 else files[0], files
    path = Path(source)
    if not path.is_dir():
        return path, [path]
    files = sorted(file for file in path.iterdir() if file.is_file())
    return path, [file for file in files if not passed_over(file)]


def _is_localizer(header: SliceHeader) -> bool:
    return "LOCALIZER" in header.image_type


def _without_image(path: Path) -> ScanError:
    """Why a DICOM file gives no slice: what it is, or that it is damaged."""
    first_bytes(path)
    kind = stored_class(path)
    if kind and not holds_slices(kind, "", 1):
        return _refusal_of(path, object_name(kind))
    what = f"a damaged {object_name(kind)}" if kind else "DICOM without a meta header"
    return ScanError(
        path,
        found=f"{what}, no readable DICOM image",
        expected="the whole file of a slice",
        remedy="copy or export it again",
    )


def _refusal_of(path: Path, kind: str) -> ScanError:
    return ScanError(
        path,
        found=f"{kind}, which holds no slices of a scan",
        expected="CT, MR or PET images",
        remedy="leave it out; it goes with a scan, or is a picture of one",
    )


def _no_image(folder: Path, files: list[Path]) -> ScanError:
    if len(files) == 1:
        first_bytes(files[0])
    return ScanError(
        folder,
        found=f"no readable DICOM image (files looked at: {len(files)})",
        expected="the slices of a series",
        remedy="give the folder of the images",
    )


def _convert(name: Path, headers: list[SliceHeader]) -> list[Scan]:
    """The volumes of one series, refused where their spacing would not be true."""
    about = headers[0]
    if not holds_slices(about.sop_class, about.modality, about.frames):
        raise _refusal_of(name, object_name(about.sop_class))
    if _is_localizer(about):
        raise ScanError(
            name,
            found="a localizer (ImageType LOCALIZER)",
            expected="a scan",
            remedy="leave it out; it was made to plan one",
        )
    if not all(header.gray for header in headers):
        raise ScanError(
            name,
            found="color pixels",
            expected="gray values",
            remedy="leave the series out; it is a picture of a scan",
        )
    once, copies = without_copies(headers)
    largest = max(once, key=lambda header: header.size[0] * header.size[1])
    shape = (*largest.size, sum(header.frames for header in once))
    require_voxels(name, shape)
    held = sum(header.path.stat().st_size for header in once)
    require_room(name, needed=int(np.prod(shape, dtype=object)), held=held, compressed=True)
    stack = None if about.frames > 1 else stack_slices(name, once)
    files = [header.path for header in (stack.headers if stack else once)]
    try:
        with TemporaryDirectory(prefix="selfscan-") as folder:
            scans = [read_nifti(path) for path in convert_series(name, files, Path(folder), shape)]
        if stack is not None:
            scans = [_on_stack(name, scans, stack)]
        scans = [require_values(require_volume(scan)) for scan in scans]
    except ScanError as error:
        # The name of a temporary volume would tell nobody anything.
        raise ScanError(
            name, found=error.found, expected=error.expected, remedy=error.remedy
        ) from error
    tilted = stack is not None and stack.tilt_degrees > _TILT_DEGREES
    told = {
        _TILTED: tilted,
        _DERIVED: any("DERIVED" in header.image_type for header in once),
        BURNED_IN: any(header.burned_in for header in once),
        f"{copies} slices were there twice: each is taken once": copies > 0,
    }
    return [
        replace(
            scan,
            modality=(_MODALITIES.get(about.modality, "other"),),
            subject=about.subject,
            source=tuple(files),
            warnings=(*scan.warnings, *(warning for warning, holds in told.items() if holds)),
        )
        for scan in scans
    ]


def _on_stack(name: Path, scans: list[Scan], stack: Stack) -> Scan:
    """The converted volume with the mean step of its slices, both ends where the headers say.

    dcm2niix takes the first step, and may begin with the last slice.

    Raises:
        ScanError: The conversion contradicts the headers of the slices.
    """
    slices = [scan.shape[2] for scan in scans]
    spacings = [float(np.linalg.norm(scan.affine[:3, 2])) for scan in scans]
    if slices == [len(stack.headers)] and np.isclose(
        spacings[0], stack.step_mm, rtol=STEP_TOLERANCE
    ):
        affine = scans[0].affine @ np.diag([1, 1, stack.step_mm / spacings[0], 1])
        normal = stack.normal * (-1, -1, 1)  # LPS to RAS
        middle = (affine @ [0, 0, (slices[0] - 1) / 2, 1])[:3] @ normal
        affine[:3, 3] += (stack.middle_mm - middle) * normal
        return replace(scans[0], affine=affine)
    shown = ", ".join(f"{n} {mm:.4g} mm apart" for n, mm in zip(slices, spacings, strict=True))
    raise ScanError(
        name,
        found=f"slices that dcm2niix converts to {shown}",
        expected=f"{len(stack.headers)} {stack.step_mm:.4g} mm apart, by their headers",
        remedy="the series is mixed or damaged; convert it to NIfTI and check it",
    )

"""NRRD and MetaImage through SimpleITK, with their data files looked for before they are read."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from selfscan.errors import ScanError, without_names
from selfscan.scans.formats.textheader import TextHeader, read_text_header
from selfscan.scans.limits import require_room, require_voxels
from selfscan.scans.scan import Scan

_CHUNK = 1 << 16
_ANY_HEADER = 47  # zlib or gzip, window of 32 KiB
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path) -> Scan:
    """Read one .nrrd, .nhdr, .mha or .mhd volume; values may still hold NaN.

    Raises:
        ScanError: Not such a file, a data file that is missing or short, not one volume of real
            numbers, or voxels that cannot be decoded.
    """
    header = read_text_header(path)
    for number, file in enumerate(header.data, start=1):
        if not file.is_file():
            raise ScanError(
                path,
                found=f"no data file beside it (number {number} of {len(header.data)})",
                expected="the file that the header names",
                remedy="restore it, or save header and voxels in one file",
            )
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size = _one_volume(path, reader)
        require_voxels(path, size)
        _require_data(path, reader, header)
        reader.SetExtractSize([*size, *[0] * (reader.GetDimension() - 3)])
        image = reader.Execute()
    except RuntimeError as error:
        raise _damaged(path, _reason(error, (path, *header.data))) from error
    voxels: npt.NDArray[Any] = SimpleITK.GetArrayFromImage(image).T[None]
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    scan = Scan(
        voxels.astype(np.float32) if voxels.dtype == np.float64 else voxels,
        _LPS_TO_RAS @ affine,
        source=(path, *header.data),
    )
    if header.anatomical:
        return scan
    return scan.with_warnings("the header names no patient axes: they are taken as LPS")


def _reason(error: RuntimeError, files: Sequence[Path]) -> str:
    """The line of an ITK message that says most: its last, without the place in ITK's source."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith("Reason:")]
    return without_names(lines[-1].rpartition("): ")[2], files)


def _one_volume(path: Path, reader: Any) -> tuple[int, int, int]:
    """The size of the one volume of single real numbers that the header must describe."""
    size = tuple(int(length) for length in reader.GetSize())
    kind = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    if reader.GetNumberOfComponents() > 1 or "complex" in kind:
        raise ScanError(
            path,
            found=f"{reader.GetNumberOfComponents()} components a voxel ({kind})",
            expected="one real number a voxel",
            remedy="save channels as files of their own, or one gray-scale channel",
        )
    if len(size) > 3 and max(size[3:]) > 1:
        raise ScanError(
            path,
            found=f"{int(np.prod(size[3:]))} volumes in one file, shape {size}",
            expected="one volume (X, Y, Z)",
            remedy="save the volumes as files of their own; channels of one case go together",
        )
    if len(size) < 3:
        raise ScanError(
            path,
            found=f"a flat image, shape {size}",
            expected="a volume (X, Y, Z)",
            remedy="give the whole series",
        )
    return size[0], size[1], size[2]


def _require_data(path: Path, reader: Any, header: TextHeader) -> None:
    """Compare what the header claims with the bytes on disk, before memory is taken."""
    if header.packing == "other":
        return
    kind = SimpleITK.Image([1, 1, 1], reader.GetPixelID())
    require_room(
        path,
        needed=int(np.prod(reader.GetSize(), dtype=object)) * kind.GetSizeOfPixelComponent(),
        held=sum(file.stat().st_size for file in header.data or (path,)),
        compressed=header.packing != "raw",
    )
    # ITK returns what it has of a damaged MetaImage; NRRD and gzip check themselves.
    if header.packing == "zlib" and len(header.data) < 2:
        _require_whole(path, *header.data, start=0 if header.data else header.start)


def _require_whole(path: Path, data: Path | None = None, *, start: int) -> None:
    """Run through a zlib stream to its checksum."""
    stream = zlib.decompressobj(wbits=_ANY_HEADER)
    with (data or path).open("rb") as file:
        file.seek(start)
        try:
            while not stream.eof and (chunk := file.read(_CHUNK)):
                stream.decompress(chunk)
        except zlib.error as error:
            raise _damaged(path, str(error)) from error
    if not stream.eof:
        raise _damaged(path, "the compressed voxels end early")


def _damaged(path: Path, why: str) -> ScanError:
    return ScanError(
        path,
        found=f"a file that cannot be decoded ({why})",
        expected="a whole NRRD or MetaImage file",
        remedy="copy or export it again",
    )

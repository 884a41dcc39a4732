"""NIfTI-1 and NIfTI-2, plain or gzip: the header is judged before a voxel is read.

Standard: https://nifti.nimh.nih.gov/nifti-1 (nifti1.h) and nifti-2 (nifti2.h). Fields are decoded
by nibabel; the bytes are read here, so that each fault is named and none is repaired in silence.
"""

from __future__ import annotations

import gzip
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from selfscan.errors import ScanError, without_names
from selfscan.scans.formats.nifti_affine import nifti_affine
from selfscan.scans.inputs.contents import first_bytes, is_gzip
from selfscan.scans.limits import require_room, require_voxels
from selfscan.scans.scan import Scan


def read_nifti(path: Path) -> Scan:
    """Read one volume; values may still hold NaN.

    Trailing axes of one voxel are dropped; `nifti_affine` says where the volume lies.

    Raises:
        ScanError: Not NIfTI, damaged, not one volume of real numbers, or an affine that is absurd.
    """
    compressed = is_gzip(first_bytes(path))
    try:
        with _opened(path, compressed=compressed) as stream:
            header = _header(path, stream.read(540))
            shape = _shape(path, header)
            stored = np.dtype(_number_type(path, header))
            start = _start(path, header)
            require_voxels(path, shape)
            size = int(np.prod(shape, dtype=object)) * stored.itemsize
            require_room(
                path,
                needed=start + size,
                held=path.stat().st_size,
                compressed=compressed,
            )
            stream.seek(start)
            voxels = _voxels(path, stream, size, stored)
    except (EOFError, OSError, zlib.error) as error:
        raise ScanError(
            path,
            found=f"a file that cannot be read to its end ({without_names(str(error), [path])})",
            expected="the whole file",
            remedy="copy or download it again, or check the disk",
        ) from error
    affine, warnings = nifti_affine(header, shape)
    values = _scaled(path, header, voxels.reshape(shape, order="F"))
    return Scan(values[None], affine, source=(path,), warnings=tuple(warnings))


def _opened(path: Path, *, compressed: bool) -> BufferedIOBase:
    return gzip.GzipFile(path) if compressed else path.open("rb")


def _header(path: Path, start: bytes) -> Nifti1Header:
    kinds: dict[bytes, tuple[type[Nifti1Header], int]] = {
        b"n+1\0": (Nifti1Header, 348),
        b"n+2\0": (Nifti2Header, 540),
    }
    for place, magics in ((344, (b"n+1\0", b"ni1\0")), (4, (b"n+2\0", b"ni2\0"))):
        magic = start[place : place + 4]
        if magic in kinds:
            kind, size = kinds[magic]
            if len(start) >= size:
                return kind(start[:size], check=False)
        elif magic in magics:
            raise ScanError(
                path,
                found="a NIfTI header whose voxels are in another file",
                expected="header and voxels in one .nii file",
                remedy="save the pair as one .nii.gz",
            )
    raise ScanError(
        path,
        found="a file without the NIfTI mark",
        expected="NIfTI-1 or NIfTI-2",
        remedy="convert it, or give it its own suffix",
    )


def _shape(path: Path, header: Nifti1Header) -> tuple[int, int, int]:
    rank = int(header["dim"][0])
    shape = tuple(int(length) for length in header["dim"][1 : rank + 1])
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 2 or min(shape) < 1 or rank > 7:
        raise ScanError(
            path,
            found=f"dimensions {shape}",
            expected="three axes of two voxels or more",
            remedy="the header is damaged or this is no image; export it again",
        )
    if len(shape) > 3:
        raise ScanError(
            path,
            found=f"{int(np.prod(shape[3:]))} volumes in one file, shape {shape}",
            expected="one volume (X, Y, Z)",
            remedy="save the volumes as files of their own; channels of one case go together",
        )
    x, y, z = (*shape, 1)[:3]
    return x, y, z


def _start(path: Path, header: Nifti1Header) -> int:
    """Bytes before the voxels: at least the header, more where extensions follow it."""
    offset = float(header["vox_offset"])
    if not np.isfinite(offset):
        raise ScanError(
            path,
            found=f"voxels that start at byte {offset}",
            expected=f"byte {header.single_vox_offset} or later",
            remedy="the header is damaged; export the image again",
        )
    return max(int(offset), int(header.single_vox_offset))


def _number_type(path: Path, header: Nifti1Header) -> np.dtype[Any]:
    try:
        kind = cast("np.dtype[Any]", header.get_data_dtype())
    except KeyError as error:
        raise ScanError(
            path,
            found=f"voxels of unknown type {int(header['datatype'])}",
            expected="integers or real numbers",
            remedy="save the image with another type",
        ) from error
    if kind.kind not in "iuf":
        name = "colors (RGB)" if kind.fields else "complex numbers" if kind.kind == "c" else kind
        raise ScanError(
            path,
            found=f"voxels that are {name}",
            expected="integers or real numbers",
            remedy="save one gray-scale channel, or the magnitude",
        )
    return kind


def _voxels(path: Path, stream: BufferedIOBase, size: int, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """All voxels in file order and native byte order; reading one more byte checks the gzip sum."""
    voxels = np.empty(size // kind.itemsize, dtype=kind)
    into = voxels.view(np.uint8).data
    filled = 0
    while filled < size and (count := stream.readinto(into[filled:])):
        filled += count
    stream.read(1)
    if filled < size:
        raise ScanError(
            path,
            found=f"{filled:,} bytes of voxels",
            expected=f"the {size:,} bytes its header claims",
            remedy="the file is truncated; copy or download it again",
        )
    return voxels.astype(kind.newbyteorder("="), copy=False)


def _scaled(path: Path, header: Nifti1Header, voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values from stored numbers; a slope of zero or NaN means that there is no scale."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope) or (slope, intercept) == (1, 0):
        return voxels if voxels.dtype.kind in "iu" else _float32(voxels)
    if not np.isfinite([slope, intercept]).all():
        raise ScanError(
            path,
            found=f"scl_slope {slope:g} and scl_inter {intercept:g}",
            expected="a finite scale",
            remedy="correct the header",
        )
    wide = voxels.astype(np.float32 if voxels.dtype.itemsize <= 2 else np.float64)
    np.multiply(wide, slope, out=wide)
    np.add(wide, intercept, out=wide)
    return _float32(wide)


def _float32(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)

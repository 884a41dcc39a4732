"""Where voxels are: affines that cannot be true are refused, odd ones are told."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from selfscan.errors import ScanError
from selfscan.scans.scan import Scan

# An axis turned against another by more than this is a shear and not rounding (sine of the angle).
SHEAR_TOLERANCE = 1e-3
# Two grids are one when no voxel of the first lies further than this share of a voxel off.
GRID_TOLERANCE = 0.1


def require_volume(scan: Scan) -> Scan:
    """Refuse what is not a volume with a true place in space; warn of a sheared grid.

    Raises:
        ScanError: An axis of one voxel, a spacing that is zero or not finite, or axes that lie
            in one plane.
    """
    if min(scan.shape) < 2:
        raise ScanError(
            scan.path,
            found=f"one slice, shape {_shown(scan.shape)}",
            expected="a volume with two voxels or more along each axis",
            remedy="give the whole series",
        )
    axes = scan.affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.isfinite(scan.affine).all() or not (spacing > 0).all():
        raise ScanError(
            scan.path,
            found=f"a spacing of {_shown(spacing)} mm",
            expected="finite spacings above zero",
            remedy="correct the header, or export the scan again",
        )
    directions = axes / spacing
    if abs(np.linalg.det(directions)) < 1e-3:
        raise ScanError(
            scan.path,
            found="an affine whose axes lie in one plane",
            expected="three independent axes",
            remedy="correct the header, or export the scan again",
        )
    shear = np.abs(directions.T @ directions - np.eye(3)).max()
    if shear <= SHEAR_TOLERANCE:
        return scan
    angle = np.degrees(np.arcsin(min(1.0, shear)))
    return scan.with_warnings(f"sheared grid: axes are {angle:.1f} degrees off a right angle")


def require_same_grid(first: Scan, second: Scan) -> None:
    """Refuse two scans of one case whose voxels do not lie on each other.

    Raises:
        ScanError: Shapes differ, or a voxel lies more than a tenth of a voxel off; both are named.
    """
    if first.shape != second.shape:
        raise ScanError(
            second.path,
            found=f"shape {_shown(second.shape)}",
            expected=f"shape {_shown(first.shape)}, that of the image or the first channel",
            remedy="give images and labels of one case on one grid",
        )
    shift = shift_mm(first.shape, first.affine, second.affine)
    if shift > GRID_TOLERANCE * np.linalg.norm(first.affine[:3, :3], axis=0).min():
        raise ScanError(
            second.path,
            found=f"a grid that is up to {shift:.3g} mm off",
            expected="the grid of the image or the first channel",
            remedy="resample one onto the other, or correct its header",
        )


def shift_mm(
    shape: tuple[int, int, int], first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> float:
    """How far apart two affines put the same voxel, at the worst corner of a grid, in mm."""
    corners = np.indices((2, 2, 2)).reshape(3, -1) * (np.array(shape)[:, None] - 1)
    difference = (first - second)[:3] @ np.vstack([corners, np.ones(8)])
    return float(np.linalg.norm(difference, axis=0).max())


def _shown(values: tuple[int, ...] | npt.NDArray[np.float64]) -> str:
    return " x ".join(f"{value:g}" for value in values)

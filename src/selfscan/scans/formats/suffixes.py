"""Which names mean a scan, which mean an image that we cannot read, and which mean neither."""

from __future__ import annotations

from pathlib import Path

KNOWN_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
# Formats of volumes: someone meant them as scans, so they are reported and not passed over.
FOREIGN_SUFFIXES = (
    *(".mnc", ".mgz", ".mgh", ".npy", ".npz", ".img", ".hdr", ".img.gz", ".hdr.gz"),
    *(".h5", ".hdf5", ".vti", ".vtk", ".nii.zst", ".nii.bz2"),
)


def suffix_of(path: Path) -> str:
    """The suffix in lower case, with the one before it where that belongs to it (.nii.gz)."""
    parts = path.name.lower().split(".")
    if len(parts) > 2 and parts[-1] in ("gz", "zst", "bz2"):
        return f".{parts[-2]}.{parts[-1]}"
    return path.suffix.lower()


def stem_of(path: Path) -> str:
    """The name without its suffix: `a.b.nii.gz` is `a.b`."""
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix else path.name

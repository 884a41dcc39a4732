"""Kinds of DICOM objects: slices of a scan, pictures of one, and what only goes with one.

Names are those of the SOP classes (DICOM PS3.6, table A-1), without "Storage".
"""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = "1.2.840.10008.5.1.4.1.1."
# Many frames in one object, each with a place of its own.
_STACKED = {
    "2.1": "Enhanced CT Image",
    "2.2": "Legacy Converted Enhanced CT Image",
    "4.1": "Enhanced MR Image",
    "4.4": "Legacy Converted Enhanced MR Image",
    "130": "Enhanced PET Image",
    "128.1": "Legacy Converted Enhanced PET Image",
    "13.1.1": "X-Ray 3D Angiographic Image",
    "13.1.2": "X-Ray 3D Craniofacial Image",
    "13.1.3": "Breast Tomosynthesis Image",
}
_SLICES = {
    "2": "CT Image",
    "4": "MR Image",
    "128": "Positron Emission Tomography Image",
    "20": "Nuclear Medicine Image",
}
_PICTURES = {
    "7": "Secondary Capture Image",
    "7.1": "Multi-frame Single Bit Secondary Capture Image",
    "7.2": "Multi-frame Grayscale Byte Secondary Capture Image",
    "7.3": "Multi-frame Grayscale Word Secondary Capture Image",
    "7.4": "Multi-frame True Color Secondary Capture Image",
    "1": "Computed Radiography Image",
    "1.1": "Digital X-Ray Image",
    "1.2": "Digital Mammography X-Ray Image",
    "12.1": "X-Ray Angiographic Image",
    "12.2": "X-Ray Radiofluoroscopic Image",
    "3.1": "Ultrasound Multi-frame Image",
    "6.1": "Ultrasound Image",
    "77.1.1": "VL Endoscopic Image",
    "77.1.4": "VL Photographic Image",
    "77.1.6": "VL Whole Slide Microscopy Image",
}
_COMPANIONS = {
    "4.2": "MR Spectroscopy",
    "11.1": "Grayscale Softcopy Presentation State",
    "66": "Raw Data",
    "66.1": "Spatial Registration",
    "66.3": "Deformable Spatial Registration",
    "66.4": "Segmentation",
    "66.5": "Surface Segmentation",
    "67": "Real World Value Mapping",
    "88.11": "Basic Text SR",
    "88.22": "Enhanced SR",
    "88.33": "Comprehensive SR",
    "88.34": "Comprehensive 3D SR",
    "88.59": "Key Object Selection Document",
    "88.67": "X-Ray Radiation Dose SR",
    "104.1": "Encapsulated PDF",
    "481.1": "RT Image",
    "481.2": "RT Dose",
    "481.3": "RT Structure Set",
    "481.5": "RT Plan",
}
_NAMES = {
    _ROOT + place: name
    for table in (_STACKED, _SLICES, _PICTURES, _COMPANIONS)
    for place, name in table.items()
} | {"1.2.840.10008.1.3.10": "Media Storage Directory"}
_UID = re.compile(r"[0-9.]{1,64}")
_NO_SLICES = {_ROOT + place for place in (*_PICTURES, *_COMPANIONS)}
# What some writers say by the modality alone.
_COMPANION_MODALITIES = ("SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "RTIMAGE", "REG", "SR", "PR", "KO")


def object_name(sop_class: str) -> str:
    """The name of a SOP class, or its UID where it is a rarer one."""
    uid = sop_class if _UID.fullmatch(sop_class) else "unknown"
    return _NAMES.get(sop_class, f"SOP class {uid}")


def holds_slices(sop_class: str, modality: str, frames: int) -> bool:
    """Whether such an object is a slice of a volume, or a stack of them; unknown ones may be.

    Of objects with several frames only those count whose frames have places; frames of the others
    are moments, or views.
    """
    if frames > 1:
        return sop_class.removeprefix(_ROOT) in _STACKED
    return sop_class not in _NO_SLICES and modality not in (*_COMPANION_MODALITIES, "DOC")


def stored_class(path: Path) -> str:
    """The SOP class that a DICOM file states at its start, empty where it states none.

    That is the second element of the meta header (PS3.10, 7.1); in a bare data set without one it
    is among the first elements.
    """
    with path.open("rb") as file:
        start = file.read(1024)
    tag = b"\x02\x00\x02\x00" if start[128:132] == b"DICM" else b"\x08\x00\x16\x00"
    _, _, element = start.partition(tag)
    width = slice(2, 4) if element.startswith(b"UI") else slice(0, 4)
    length = int.from_bytes(element[width], "little")
    return element[4 : 4 + length].decode("ascii", "replace").strip(" \0")

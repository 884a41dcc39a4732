"""Scans whose headers and names are full of secrets, each of them to be told from the others.

A secret of text is `ZQ`, eight letters or digits of its place, and `XV`. Dates lie in years before
1900, and identifiers under a root of their own.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import SimpleITK
from pydicom import Dataset
from pydicom.datadict import DicomDictionary, RepeatersDictionary
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.9.7391."
PATIENT_ID = "ZQ00100020XV"
DAYS = 200  # dates that may be planted, each of its own
SHAPE = (24, 20, 16)
_TEXT = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_NUMBERS = ("DS", "IS")
_TIMES = ("DA", "DT", "TM")
_BYTES = ("OB", "UN")
# Without these a series is none: what it is, where its voxels are, and how they are encoded.
_KEPT = {
    *(0x00080005, 0x00080008, 0x00080016, 0x00080060, 0x00200032, 0x00200037, 0x00201041),
    *(0x00180050, 0x00180088, 0x00180022, 0x00280008, 0x00280301, 0x00200013, 0x00281052),
    *(0x00281053, 0x00281054, 0x00540081, 0x00540101, 0x00185100),
}
_KEPT_GROUPS = {0x0000, 0x0002, 0x0004, 0x0028, 0x7FE0, 0xFFFE, 0xFFFA}
# Frames of one object and waveforms, which make a slice something else.
_OTHER_OBJECTS = {0x52009229, 0x52009230, 0x54000100}


def secret(tag: int) -> str:
    """What stands in a text element."""
    return f"ZQ{tag:08X}XV"


def day(number: int) -> str:
    """A date that no run writes by itself."""
    return (datetime.date(1601, 1, 1) + datetime.timedelta(days=37 * number)).strftime("%Y%m%d")


def planted(tag: int, kind: str, number: int) -> Any:
    """The secret that suits an element, None where its kind holds none."""
    if kind in _TEXT:
        return {"PN": f"{secret(tag)}^Jane", "UR": f"http://{secret(tag)}.example/"}.get(
            kind, secret(tag)
        )
    values: dict[str, Any] = {
        "DA": day(number),
        "TM": f"031415.{700000 + number}",
        "DT": f"{day(number)}031415.{700000 + number}",
        "UI": f"{ROOT}{tag}",
        "DS": f"7391{tag % 10**10:010d}",
        "IS": str(739100000 + number),
        "OB": secret(tag).encode(),
    }
    return values.get("OB" if kind == "UN" else kind)


@cache
def data_set(*, nested: bool = True) -> Dataset:
    """Every element of the dictionary that holds text, times or identifiers, and sequences.

    Numbers as text (DS, IS) are planted in the groups that identify alone: others are geometry.
    """
    whole = Dataset()
    table = [(tag, about[0]) for tag, about in DicomDictionary.items()]
    table += [
        (int(tag.replace("x", "0"), 16), about[0]) for tag, about in RepeatersDictionary.items()
    ]
    # Times first, so that their numbers are small and their dates lie far back.
    for number, (tag, kind) in enumerate(sorted(set(table), key=lambda it: it[1] not in _TIMES)):
        if tag in _KEPT or tag >> 16 in _KEPT_GROUPS or tag in _OTHER_OBJECTS:
            continue
        if kind in _NUMBERS and tag >> 16 not in (0x0010, 0x0032, 0x0038, 0x0040, 0x4008):
            continue
        if kind == "SQ" and not nested:
            continue
        if kind == "SQ":
            inner = Dataset()
            inner.add_new(0x00100010, "PN", f"{secret(tag)}^Nested")
            inner.add_new(0x00081155, "UI", f"{ROOT}{tag}")
            inner.add_new(0x0040A730, "SQ", [_text(tag)])
            whole.add_new(tag, "SQ", [inner])
        elif (value := planted(tag, kind, number)) is not None:
            whole.add_new(tag, kind, value)
    block = whole.private_block(0x0011, secret(0x00110010), create=True)
    for element, kind in enumerate(("LO", "PN", "UN", "LT"), start=1):
        block.add_new(element, kind, planted(0x00111000 + element, kind, 0))
    whole.add_new(0x00080005, "CS", "ISO_IR 192")
    return whole


def _text(tag: int) -> Dataset:
    inner = Dataset()
    inner.add_new(0x0040A160, "UT", secret(tag))
    return inner


def write_series(
    folder: Path,
    voxels: npt.NDArray[np.int16],
    *,
    name: str = "ZQFILEDICMXV",
    positions: tuple[float, ...] | None = None,
    nested: bool = True,
    **changes: Any,
) -> Path:
    """Write a CT (X, Y, Z) slice by slice, with a secret in each element, but for `changes`."""
    folder.mkdir(parents=True)
    whole = data_set(nested=nested)
    series = sum(map(ord, folder.name))
    for number in range(voxels.shape[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        meta.MediaStorageSOPInstanceUID = f"{ROOT}9.{series}.{number}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationVersionName = secret(0x00020013)
        meta.SourceApplicationEntityTitle = secret(0x00020016)
        meta.PrivateInformationCreatorUID = f"{ROOT}{0x00020100}"
        meta.PrivateInformation = secret(0x00020102).encode()
        slice_ = FileDataset(
            None, whole, file_meta=meta, preamble=secret(0).encode().ljust(128, b"\0")
        )
        height = positions[number] if positions else 2.0 * number
        for keyword, value in {
            "SOPClassUID": meta.MediaStorageSOPClassUID,
            "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "SeriesInstanceUID": f"{ROOT}8.{series}",
            "Modality": "CT",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", secret(0x00080008)],
            "InstanceNumber": number + 1,
            "ImagePositionPatient": [0, 0, height],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [2, 2],
            "SliceThickness": 2,
            "Rows": voxels.shape[1],
            "Columns": voxels.shape[0],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 1,
            "RescaleSlope": 1,
            "RescaleIntercept": 0,
            **changes,
        }.items():
            setattr(slice_, keyword, value)
        slice_.PixelData = np.ascontiguousarray(voxels[:, :, number].T).tobytes()
        slice_.save_as(folder / f"{name}-{number}.dcm", enforce_file_format=True)
    return folder


def write_nifti(path: Path, voxels: npt.NDArray[Any], *, affine: Any = None) -> Path:
    """Write an image with a secret in each text of the header, and in two extensions."""
    image = nibabel.Nifti1Image(voxels, np.diag([2.0, 2, 2, 1]) if affine is None else affine)
    for number, field in enumerate(("descrip", "aux_file", "db_name", "intent_name")):
        image.header[field] = secret(0xAAAA0000 + number)
    for number, code in enumerate((2, 6)):
        text = secret(0xAAAA1000 + number).encode()
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, text))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def write_itk(path: Path, voxels: npt.NDArray[Any], *, compressed: bool = False) -> Path:
    """Write NRRD or MetaImage with keys and comments that are secrets."""
    image = SimpleITK.GetImageFromArray(voxels.T)
    image.SetSpacing((2, 2, 2))
    for number, key in enumerate(("PatientName", "Comment", "Name", "content")):
        image.SetMetaData(key, secret(0xBBBB0000 + number))
    SimpleITK.WriteImage(image, str(path), compressed)
    text = path.read_bytes()
    if path.suffix == ".nrrd":
        first, rest = text.split(b"\n", 1)
        comment = f"# {secret(0xBBBB1000)}\ncontent: {secret(0xBBBB1001)}\n".encode()
        path.write_bytes(first + b"\n" + comment + rest)
    else:
        path.write_bytes(f"Comment = {secret(0xBBBB1002)}\n".encode() + text)
    return path


def ct(number: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """A noisy block of parts that differ from number to number, with a ball (1) in it."""
    draw = np.random.default_rng(number)
    voxels = draw.normal(-900, 30, SHAPE)
    voxels[3:21, 3:17, 3:13] = draw.normal(0, 30, (18, 14, 10))
    parts = draw.choice([-300.0, 0.0, 300.0], (3, 2, 2))
    voxels[3:21, 3:17, 3:13] += np.kron(parts, np.ones((6, 7, 5)))
    place = np.indices(SHAPE) - np.array([9 + number % 5, 10, 8])[:, None, None, None]
    labels = (np.linalg.norm(place, axis=0) < 4).astype(np.uint8)
    voxels[labels > 0] = 600
    return voxels.astype(np.int16), labels


def write_inputs(root: Path) -> Path:
    """Scans that are read, with labels for some, and one of each kind that is refused.

    Returns:
        The folder to prepare; `labels` and `splits.json` lie beside it.
    """
    scans = root / "ZQROOTROOTXV Jane"
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for number, split in enumerate(("train", "train", "train", "validation", "test", "test")):
        name = f"ZQFILE{number:04d}XV^Jane"
        voxels, labels = ct(number)
        write_nifti(scans / "ZQFOLDERNIXV" / f"{name}.nii.gz", voxels)
        write_nifti(root / "labels" / "ZQFOLDERNIXV" / f"{name}.nii.gz", labels)
        splits[split].append(name)
    (root / "splits.json").write_text(json.dumps(splits))
    write_itk(scans / "ZQFILENRRDXV.nrrd", ct(10)[0])
    write_itk(scans / "ZQFILEMETAXV.mha", ct(11)[0])
    people = scans / "ZQPERSON00XV^John"
    write_series(people / "ZQSERIES00XV good", ct(20)[0][:, :, 4:12])
    write_series(people / "ZQSERIES01XV text", ct(21)[0][:, :, 4:12], BurnedInAnnotation="YES")
    for _ in _refused(scans, people):
        pass
    return scans


def _refused(scans: Path, people: Path) -> Iterator[Path]:
    few = ct(30)[0][:, :, 6:10]
    series = partial(write_series, nested=False)
    localizer = ["ORIGINAL", "PRIMARY", "LOCALIZER", secret(0x00080008)]
    yield series(people / "ZQSERIES02XV scout", few, ImageType=localizer)
    capture = "1.2.840.10008.5.1.4.1.1.7"
    yield series(people / "ZQSERIES03XV capture", few, SOPClassUID=capture, Modality="OT")
    yield series(people / "ZQSERIES04XV gap", few, positions=(0, 2, 4, 8))
    yield series(people / "ZQSERIES05XV same", few, positions=(0, 2, 2, 4))
    yield series(people / "ZQSERIES06XV one", few[:, :, :1])
    yield series(people / "ZQSERIES07XV odd", few, SOPClassUID="1.2.3.7", Modality="SR")
    damaged = series(people / "ZQSERIES08XV cut", few)
    for file in damaged.iterdir():
        file.write_bytes(file.read_bytes()[:-300])
        yield file
    odd = scans / "ZQFOLDERODXV"
    yield write_nifti(odd / "ZQFILEMOVIXV.nii.gz", np.stack([ct(1)[0], ct(2)[0]], axis=-1))
    yield write_nifti(odd / "ZQFILEFLATXV.nii.gz", np.zeros(SHAPE, np.int16))
    yield write_nifti(odd / "ZQFILESAMEXV Jane.nii.gz", ct(0)[0])
    yield write_nifti(odd / "ZQFILEMASKXV_seg.nii.gz", ct(0)[1])
    whole = write_nifti(odd / "ZQFILECUT0XV.nii.gz", ct(31)[0])
    whole.write_bytes(whole.read_bytes()[:2000])
    (odd / "ZQFILEMGH0XV.mgz").write_bytes(b"ZQFILEMGH1XV")
    (odd / "ZQFILETEXTXV.nii").write_bytes(b"ZQFILETEX1XV" * 100)
    write_itk(odd / "ZQFILELOSTXV Jane.mhd", ct(32)[0]).with_suffix(".raw").unlink()
    cut = write_itk(odd / "ZQFILECUT1XV Jane.nrrd", ct(33)[0])
    cut.write_bytes(cut.read_bytes()[:-999])
    cut = write_itk(odd / "ZQFILECUT2XV Jane.nrrd", ct(36)[0], compressed=True)
    cut.write_bytes(cut.read_bytes()[:-999])
    label = scans.parent / "labels" / "ZQFOLDERODXV"
    yield write_nifti(odd / "ZQFILEGRIDXV Jane.nii.gz", ct(34)[0])
    yield write_nifti(label / "ZQFILEGRIDXV Jane.nii.gz", ct(34)[1][:-1])
    yield write_nifti(label / "ZQFILENONEXV Jane.nii.gz", ct(35)[1])

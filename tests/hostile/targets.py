"""What of selfscan reads files of others, and small whole files of each kind to start from."""

from __future__ import annotations

import bz2
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK

from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.find import find
from selfscan.scans.formats.dicom import read_every_series
from selfscan.scans.formats.slices import read_slice_header
from selfscan.scans.formats.textheader import read_text_header
from selfscan.scans.index import write_index
from selfscan.scans.inputs.datalist import read_splits
from selfscan.scans.inputs.sources import Source, Unusable
from selfscan.scans.preparation.ingest import store_scan
from selfscan.scans.preparation.notes import Settings
from selfscan.scans.read import read, read_labels
from selfscan.scans.scan import Scan
from selfscan.scans.seen import Seen
from selfscan.scans.store import Store
from selfscan.scans.words import Box, Member, WordOrigin, Words, WordsHeader

_SHAPE = (6, 5, 4)
_MOST_BYTES = 64 << 10  # of a file to start from: small ones are read thousands of times a minute


@dataclass(frozen=True)
class Seed:
    """A file, or a folder of files, that is read without fault.

    Attributes:
        files: Contents by name.
        changed: The names of those that are changed.
    """

    files: dict[str, bytes]
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A reader, given a folder with a seed's files and the name of the one that was changed."""

    name: str
    seeds: Callable[[Path, Path | None], list[Seed]]
    read: Callable[[Path, str], object]


def _one(name: str, content: bytes) -> Seed:
    return Seed({name: content}, (name,))


def _real(data: Path | None, *endings: str) -> list[Seed]:
    files = [] if data is None else sorted((data / "ingest").rglob("*"))
    small = (f for f in files if f.is_file() and 0 < f.stat().st_size <= _MOST_BYTES)
    return [_one("real" + e, f.read_bytes()) for f in small for e in endings if f.name.endswith(e)]


def _voxels() -> np.ndarray:
    return np.random.default_rng(3).integers(-900, 900, _SHAPE).astype(np.int16)


def _nifti(work: Path, data: Path | None) -> list[Seed]:
    seeds = []
    affine = np.array([[-1.5, 0.1, 0, 3], [0.1, 1.2, 0, -4], [0, 0, 2.5, 5], [0, 0, 0, 1]])
    for kind, number in ((nib.Nifti1Image, np.int16), (nib.Nifti2Image, np.float32)):
        for ending in (".nii", ".nii.gz"):
            image = kind(_voxels().astype(number), affine)
            image.header.set_slope_inter(2.0, -10.0)
            nib.save(image, work / f"a{ending}")
            seeds.append(_one(f"a{ending}", (work / f"a{ending}").read_bytes()))
    return seeds + _real(data, ".nii", ".nii.gz")


def _itk(work: Path, data: Path | None) -> list[Seed]:
    seeds = []
    image = SimpleITK.GetImageFromArray(_voxels())
    image.SetSpacing((1.5, 2.0, 2.5))
    for ending in (".nrrd", ".mha"):
        for packed in (False, True):
            SimpleITK.WriteImage(image, str(work / f"a{ending}"), packed)
            seeds.append(_one(f"a{ending}", (work / f"a{ending}").read_bytes()))
    for ending, beside in ((".nhdr", ".raw"), (".mhd", ".raw"), (".nhdr", ".raw.gz")):
        for file in work.glob("b.*"):
            file.unlink()
        SimpleITK.WriteImage(image, str(work / f"b{ending}"), beside == ".raw.gz")
        files = {file.name: file.read_bytes() for file in sorted(work.glob("b.*"))}
        seeds.append(
            Seed(files, (f"b{ending}", f"b{ending}", *(n for n in files if n != f"b{ending}")))
        )
    header = (work / "a.nrrd").read_bytes().split(b"\n\n")[0]
    plain = header.replace(b"encoding: gzip", b"encoding: bzip2")
    seeds.append(_one("a.nrrd", plain + b"\n\n" + bz2.compress(_voxels().tobytes(order="F"))))
    text = header.replace(b"encoding: gzip", b"encoding: text")
    words = b" ".join(str(v).encode() for v in _voxels().ravel(order="F").tolist())
    seeds.append(_one("a.nrrd", text + b"\n\n" + words))
    return seeds + _real(data, ".nrrd", ".mha")


def _dicom(work: Path, data: Path | None) -> list[Seed]:
    """Series of two slices or more; one slice is changed."""
    seeds = []
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    files = {}
    for number in range(3):
        image = SimpleITK.GetImageFromArray(_voxels()[number][None])
        for tag, value in (
            ("0008|0060", "CT"),
            ("0020|000e", "1.2.3.4"),
            ("0020|000d", "1.2.3"),
            ("0008|0018", f"1.2.3.4.{number}"),
            ("0020|0032", f"0\\0\\{2 * number}"),
            ("0020|0037", "1\\0\\0\\0\\1\\0"),
            ("0028|0030", "1.5\\1.5"),
            ("0020|0013", str(number)),
        ):
            image.SetMetaData(tag, value)
        writer.SetFileName(str(work / "slice.dcm"))
        writer.Execute(image)
        files[f"{number}.dcm"] = (work / "slice.dcm").read_bytes()
    seeds.append(Seed(files, ("1.dcm",)))
    if data is not None:
        for folder in sorted((data / "ingest" / "dicom").rglob("*")):
            slices = sorted(f for f in folder.iterdir() if f.is_file()) if folder.is_dir() else []
            small = [f for f in slices if f.stat().st_size <= _MOST_BYTES][:4]
            if small:
                series = {f"{n}.dcm": f.read_bytes() for n, f in enumerate(small)}
                seeds.append(Seed(series, tuple(series)))
    return seeds


def _lists(work: Path, data: Path | None) -> list[Seed]:
    image = _nifti(work, None)[1].files["a.nii.gz"]
    cases = [{"image": f"./{n}.nii.gz", "label": f"l/{n}.nii.gz"} for n in "ab"]
    decathlon = {
        "name": "x",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "organ"},
        "training": cases,
        "test": ["./c.nii.gz"],
        "numTraining": 2,
    }
    nnunet = {
        "channel_names": {"0": "T1"},
        "labels": {"background": 0, "organ": 1},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    files = {f"{n}.nii.gz": image for n in "abc"} | {f"l/{n}.nii.gz": image for n in "ab"}
    raw = {"imagesTr/p_0000.nii.gz": image, "labelsTr/p.nii.gz": image}
    return [
        Seed(
            {"dataset.json": json.dumps(decathlon, indent=1).encode(), **files}, ("dataset.json",)
        ),
        Seed({"dataset.json": json.dumps(nnunet).encode(), **raw}, ("dataset.json",)),
        _one("splits.json", json.dumps({"train": ["a", "b"], "test": ["c"]}).encode()),
    ]


def _store(work: Path, data: Path | None) -> list[Seed]:
    out = work / "store"
    contract = PreprocessingContract()
    settings = Settings(contract, "nearest", (), None, "salt")
    records = []
    for number in range(2):
        scan = Scan(_voxels()[None] + number, np.eye(4), modality=("ct",), subject=str(number))
        labels = Scan((_voxels()[None] > 0).astype(np.uint8), np.eye(4))
        source = Source(f"scan-{number}", (Path("a.nii"),), split="train")
        prepared = contract.apply(scan, labels)
        records.append(store_scan(source.name, scan, prepared, out, settings, source))
    (out / "contract.json").write_text(json.dumps(contract.to_json()))
    write_index(out, records, [Unusable(Path("x.nii"), "found nothing")], {0: "air", 1: "organ"})
    Seen.of(Store(out)).write(out)
    box = Box((0, 0, 0), (4, 4, 4))
    digest = records[0].volume_digest
    header = WordsHeader(
        (4, 4, 4), "voxel", None, contract.digest(), "", (WordOrigin("scan-0", (0, 0, 0)),)
    )
    Words(header, (Member(0, "training", "scan-0", digest, 0, 0.0, box, (box, box)),)).write(out)
    files = {str(f.relative_to(out)): f.read_bytes() for f in sorted(out.rglob("*")) if f.is_file()}
    index = ("scans.parquet",) * 6
    changed = tuple(name for name in files if "scan-1" not in name and "rejected" not in name)
    return [Seed(files, (*index, *changed))]


def _checkpoint(work: Path, data: Path | None) -> list[Seed]:
    # Here, as those that read images start much quicker without PyTorch.
    import torch

    from selfscan.checkpoints.checkpoint import Checkpoint, save
    from selfscan.networks.unet3d import UNet3DConfig

    config = UNet3DConfig(width=1)
    weights = {f"backbone.{k}": v for k, v in list(config.build(1).state_dict().items())[:8]}
    checkpoint = Checkpoint(
        weights, config, 1, "pretraining", PreprocessingContract(), (-1000.0, 1000.0), (16, 16, 16)
    )
    save(checkpoint, work / "a.safetensors")
    torch.save({"state_dict": weights, "epoch": 3}, work / "a.pt")
    return [
        _one("a.safetensors", (work / "a.safetensors").read_bytes()),
        _one("a.safetensors", (work / "a.safetensors").read_bytes()),
        _one("a.pt", (work / "a.pt").read_bytes()),
        _one("plans.json", json.dumps(_PLANS).encode()),
        _one("cases.csv", b"case,label\na,1\nb,2\nc,1\n"),
    ]


_PLANS = {
    "transpose_forward": [0, 1, 2],
    "configurations": {
        "3d_fullres": {
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",  # noqa: E501
                "arch_kwargs": {
                    "n_stages": 2,
                    "features_per_stage": [4, 8],
                    "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
                    "strides": [[1, 1, 1], [2, 2, 2]],
                    "n_conv_per_stage": [2, 2],
                    "n_conv_per_stage_decoder": [2],
                    "conv_bias": True,
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": True},
                },
            }
        }
    },
}


def _read_image(folder: Path, name: str) -> object:
    path = folder / name
    if name.endswith((".raw", ".gz")) and not name.endswith(".nii.gz"):
        (path,) = (p for p in folder.iterdir() if p.suffix in (".nhdr", ".mhd"))
    return read(path)


def _read_labels(folder: Path, name: str) -> object:
    return read_labels(folder / name)


def _read_header(folder: Path, name: str) -> object:
    return read_text_header(folder / name)


def _read_slice(folder: Path, name: str) -> object:
    return read_slice_header(folder / name)


def _read_series(folder: Path, name: str) -> object:
    return read_every_series(folder)


def _read_list(folder: Path, name: str) -> object:
    if name == "splits.json":
        return read_splits(folder / name)
    return find([folder])


def _read_store(folder: Path, name: str) -> object:
    if name == "words.parquet":
        return Words.read(folder)
    if name == "seen.parquet":
        seen = Seen.read(folder)
        return seen and seen.leaks(Store(folder))
    store = Store(folder)
    some = store.select(splits=["train"])
    some.digest()
    Seen.of(some)
    for i, record in enumerate(some):
        store.read(i)
        store.read(i, (-2, 1, 1), (4, 4, 4))
        store.read_foreground(i)
        if record.labelled:
            store.read_labels(i)
    return store.patients, store.foreground_boxes, store.channels


def _read_weights(folder: Path, name: str) -> object:
    from selfscan.checkpoints.checkpoint import load
    from selfscan.checkpoints.foreign import read_tensors
    from selfscan.networks.plans import backbone_from_plans
    from selfscan.training.case_table import CaseTable

    path = folder / name
    readers = {".safetensors": load, ".pt": read_tensors, ".json": backbone_from_plans}
    return readers.get(path.suffix, CaseTable.read)(path)


def _single_slices(work: Path, data: Path | None) -> list[Seed]:
    return [
        _one(name, seed.files[name]) for seed in _dicom(work, data) for name in seed.changed[:2]
    ]


TARGETS = {
    target.name: target
    for target in (
        Target("nifti", _nifti, _read_image),
        Target("labels", _nifti, _read_labels),
        Target("nrrd and metaimage", _itk, _read_image),
        Target("dicom header", _single_slices, _read_slice),
        Target("dicom series", _dicom, _read_series),
        Target("data list", _lists, _read_list),
        Target("store", _store, _read_store),
        Target("weights", _checkpoint, _read_weights),
    )
}


def lay_out(seed: Seed, folder: Path) -> None:
    """Write the files of a seed into an empty folder."""
    for name, content in seed.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def emptied(folder: Path) -> Path:
    """The folder, without what it held."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def data_folder() -> Path | None:
    """Where real scans are, if anywhere."""
    given = os.environ.get("SELFSCAN_DATA")
    return Path(given) if given and Path(given).is_dir() else None

"""What of selfscan reads files of others, and small whole files of each kind to start from."""

from __future__ import annotations

import bz2
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK
import stores
from mutation import unpacked
from seeds import Seed, Target, one, voxels

from selfscan.errors import SelfscanError
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.find import find
from selfscan.scans.formats.dicom import read_every_series
from selfscan.scans.formats.slices import read_slice_header
from selfscan.scans.formats.textheader import read_text_header
from selfscan.scans.inputs.datalist import read_splits
from selfscan.scans.read import read, read_labels

_SHAPE = (6, 5, 4)
_MOST_VOXELS = 1 << 20  # bytes, unpacked
_MOST_BYTES = 64 << 10  # of a file to start from: small ones are read thousands of times a minute


def _real(data: Path | None, *endings: str) -> list[Seed]:
    files = [] if data is None else sorted((data / "ingest").rglob("*"))
    small = (f for f in files if f.is_file() and 0 < f.stat().st_size <= _MOST_BYTES)
    contents = ((f.name, f.read_bytes()) for f in small)
    quick = [(name, c) for name, c in contents if len(unpacked(c)[1]) <= _MOST_VOXELS]
    return [one("real" + e, c) for name, c in quick for e in endings if name.endswith(e)]


def _nifti(work: Path, data: Path | None) -> list[Seed]:
    seeds = []
    affine = np.array([[-1.5, 0.1, 0, 3], [0.1, 1.2, 0, -4], [0, 0, 2.5, 5], [0, 0, 0, 1]])
    for kind, number in ((nib.Nifti1Image, np.int16), (nib.Nifti2Image, np.float32)):
        for ending in (".nii", ".nii.gz"):
            image = kind(voxels().astype(number), affine)
            image.header.set_slope_inter(2.0, -10.0)
            nib.save(image, work / f"a{ending}")
            seeds.append(one(f"a{ending}", (work / f"a{ending}").read_bytes()))
    return seeds + _real(data, ".nii", ".nii.gz")


def _itk(work: Path, data: Path | None) -> list[Seed]:
    seeds = []
    image = SimpleITK.GetImageFromArray(voxels())
    image.SetSpacing((1.5, 2.0, 2.5))
    for ending in (".nrrd", ".mha"):
        for packed in (False, True):
            SimpleITK.WriteImage(image, str(work / f"a{ending}"), packed)
            seeds.append(one(f"a{ending}", (work / f"a{ending}").read_bytes()))
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
    seeds.append(one("a.nrrd", plain + b"\n\n" + bz2.compress(voxels().tobytes(order="F"))))
    text = header.replace(b"encoding: gzip", b"encoding: text")
    words = b" ".join(str(v).encode() for v in voxels().ravel(order="F").tolist())
    seeds.append(one("a.nrrd", text + b"\n\n" + words))
    return seeds + _real(data, ".nrrd", ".mha")


def _dicom(work: Path, data: Path | None) -> list[Seed]:
    """Series of two slices or more; one slice is changed."""
    seeds = []
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    files = {}
    for number in range(3):
        image = SimpleITK.GetImageFromArray(voxels()[number][None])
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
        one("splits.json", json.dumps({"train": ["a", "b"], "test": ["c"]}).encode()),
    ]


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
        one("a.safetensors", (work / "a.safetensors").read_bytes()),
        one("a.safetensors", (work / "a.safetensors").read_bytes()),
        one("a.pt", (work / "a.pt").read_bytes()),
        one("plans.json", json.dumps(_PLANS).encode()),
        one("cases.csv", b"case,label\na,1\nb,2\nc,1\n"),
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


def _required(found: object, *refused: Exception) -> object:
    """What was read, or why nothing was."""
    if found is None:
        raise next(iter(refused), SelfscanError("refused"))
    return found


def _read_slice(folder: Path, name: str) -> object:
    return _required(read_slice_header(folder / name))


def _read_series(folder: Path, name: str) -> object:
    scans, refused = read_every_series(folder)
    return scans or _required(None, *refused)


def _read_list(folder: Path, name: str) -> object:
    if name == "splits.json":
        return read_splits(folder / name)
    return find([folder])


def _read_weights(folder: Path, name: str) -> object:
    from selfscan.checkpoints.checkpoint import load
    from selfscan.checkpoints.foreign import read_tensors
    from selfscan.networks.plans import backbone_from_plans
    from selfscan.training.case_table import CaseTable

    path = folder / name
    readers = {".safetensors": load, ".pt": read_tensors, ".json": backbone_from_plans}
    return readers.get(path.suffix, CaseTable.read)(path)


def _single_slices(work: Path, data: Path | None) -> list[Seed]:
    return [one(name, seed.files[name]) for seed in _dicom(work, data) for name in seed.changed[:2]]


TARGETS = {
    target.name: target
    for target in (
        Target("nifti", _nifti, _read_image),
        Target("labels", _nifti, _read_labels),
        Target("nrrd and metaimage", _itk, _read_image),
        Target("dicom header", _single_slices, _read_slice),
        Target("dicom series", _dicom, _read_series),
        Target("data list", _lists, _read_list),
        Target("store", stores.store, stores.read_store),
        Target("index", stores.index, stores.read_store, stores.with_changed_cells),
        Target("volume", stores.volumes, stores.read_volume),
        Target("weights", _checkpoint, _read_weights),
    )
}

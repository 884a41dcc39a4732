"""The configurations of a MONAI bundle: how it runs, and what it is."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from selfscan.exits.leaving import Leaving

_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)


def inference(model: Leaving) -> dict[str, Any]:
    """`configs/inference.json`, which `python -m monai.bundle run` runs."""
    checkpoint = model.checkpoint
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/scans'",
        "output_dir": "$@bundle_root + '/predictions'",
        "modality": "ct",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "datalist": _cases(checkpoint.in_channels),
        "network_def": {
            "_target_": "torch.jit.load",
            "f": "$@bundle_root + '/models/model.ts'",
            "map_location": "@device",
        },
        "network": "$@network_def.eval()",
        "preprocessing_ct": _compose(_preprocessing(model, ct=True)),
        "preprocessing_other": _compose(_preprocessing(model, ct=False)),
        "preprocessing": "$@preprocessing_ct if @modality == 'ct' else @preprocessing_other",
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': case} for case in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(checkpoint.crop_size),
            "sw_batch_size": 1,
            "overlap": 0.5,
            "mode": "gaussian",
        },
        "postprocessing": _compose(_postprocessing(segmentation=model.segmenter is not None)),
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }


def metadata(model: Leaving, outputs: int) -> dict[str, Any]:
    """`configs/metadata.json`, with the fields of MONAI's schema."""
    checkpoint = model.checkpoint
    method = checkpoint.method
    labels = {str(value): name for value, name in checkpoint.label_names.items()}
    channels = range(checkpoint.in_channels)
    return {
        "schema": _SCHEMA,
        "version": "0.1.0",
        "changelog": {"0.1.0": f"written by selfscan {checkpoint.version}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"nibabel": version("nibabel"), "pytorch-ignite": "0.5"},
        "name": f"selfscan {checkpoint.backbone.name}",
        "task": "segmentation" if labels else "features of each voxel",
        "description": f"{checkpoint.backbone.name}, {checkpoint.task}, written by selfscan",
        "authors": "the user of selfscan who trained it",
        "copyright": checkpoint.license_note or "see docs/README.md",
        "data_source": f"digest {checkpoint.store_digest or 'unknown'}",
        "data_type": "nifti",
        "image_classes": "CT in Hounsfield units, or another modality in any units",
        "label_classes": labels,
        "pred_classes": labels,
        "intended_use": "research; not a medical device",
        "references": [method.source] if method else [],
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "CT or MR",
                    "num_channels": checkpoint.in_channels,
                    "spatial_shape": list(checkpoint.crop_size),
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": True,
                    "channel_def": {str(channel): f"image {channel}" for channel in channels},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation" if labels else "features",
                    "num_channels": outputs,
                    "spatial_shape": list(checkpoint.crop_size),
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": labels or {str(n): f"feature {n}" for n in range(outputs)},
                }
            },
        },
        "selfscan": checkpoint.to_json(),
    }


def _cases(channels: int) -> str:
    """The scans of the folder; several channels lie side by side as nnU-Net has them."""
    if channels == 1:
        return "$sorted(glob.glob(os.path.join(@dataset_dir, '*.nii.gz')))"
    first = "sorted(glob.glob(os.path.join(@dataset_dir, '*_0000.nii.gz')))"
    names = f"[first[:-12] + '_%04d.nii.gz' % channel for channel in range({channels})]"
    return f"$[{names} for first in {first}]"


def _preprocessing(model: Leaving, *, ct: bool) -> list[dict[str, Any]]:
    """Percentiles are those of the scan as it came; a window is applied to the resampled scan."""
    contract = model.checkpoint.contract
    low, high = model.checkpoint.window_hu
    first, last = contract.percentiles
    unit = {"b_min": 0, "b_max": 1}
    window = _on("image", "ScaleIntensityRanged", a_min=low, a_max=high, clip=True, **unit)
    percentiles = _on(
        "image",
        "ScaleIntensityRangePercentilesd",
        lower=first,
        upper=last,
        clip=False,
        channel_wise=True,
        **unit,
    )
    clipped = _on("image", "ScaleIntensityRanged", a_min=0, a_max=1, clip=True, **unit)
    steps = [_on("image", "LoadImaged", ensure_channel_first=True)]
    if not ct:
        steps.append(percentiles)
    steps.append(_on("image", "Orientationd", axcodes=contract.orientation))
    if contract.spacing is not None:
        steps.append(_on("image", "Spacingd", pixdim=list(contract.spacing), mode="bilinear"))
    return [*steps, window if ct else clipped, _on("image", "EnsureTyped", device="@device")]


def _postprocessing(*, segmentation: bool) -> list[dict[str, Any]]:
    steps = [_on("pred", "Activationsd", softmax=True)] if segmentation else []
    steps.append(
        _on(
            "pred",
            "Invertd",
            transform="@preprocessing",
            orig_keys="image",
            nearest_interp=False,
            to_tensor=True,
        )
    )
    if segmentation:
        steps.append(_on("pred", "AsDiscreted", argmax=True))
    saved = {"output_dir": "@output_dir", "output_postfix": "", "separate_folder": False}
    return [*steps, _on("pred", "SaveImaged", **saved)]


def _compose(transforms: list[dict[str, Any]]) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": transforms}


def _on(key: str, name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, "keys": key, **arguments}

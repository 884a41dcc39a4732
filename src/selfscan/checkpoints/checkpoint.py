"""A trained network as one safetensors file: weights, and in its header what they are made for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from selfscan.configuration import as_plain, from_plain
from selfscan.errors import SelfscanError
from selfscan.files import written_atomically
from selfscan.methods import METHODS
from selfscan.methods.method import MethodConfig
from selfscan.networks import BACKBONES
from selfscan.networks.backbone import BackboneConfig, Part
from selfscan.scans.contract import PreprocessingContract

Task = Literal["pretraining", "segmentation", "classification"]
FORMAT = 1
_KEY, _DIGEST = "selfscan", "sha256"
_Config = TypeVar("_Config", bound=MethodConfig | BackboneConfig)


@dataclass(frozen=True)
class Checkpoint:
    """Weights, and what later verbs must know to use them rightly.

    Attributes:
        weights: Tensors by name; those of the backbone begin with `backbone.`, others are heads.
        backbone: The arguments that rebuild the backbone.
        in_channels: Channels of the volumes it takes.
        task: What it was trained for last.
        contract: How the scans it saw were prepared.
        window_hu: CT was clipped to this range of Hounsfield units and scaled to [0, 1].
        crop_size: The size of what it was trained on, in voxels.
        part: What of the backbone was trained; the weights hold no more of it.
        method: The method of pre-training with its hyper-parameters; None if from scratch, or if
            another program's.
        label_names: Names of the label values or classes; empty after pre-training.
        store_digest: Digest of the store it was trained on last.
        words_digest: SHA-256 of the file of visual words it was trained on last, if on any.
        scans: Number of scans it was trained on.
        steps: Optimizer steps behind these weights.
        license_note: What the user must know of patents and licenses.
        origin: The file of others that the weights began as, and its digest; empty for our own.
        version: The version of selfscan that wrote it.
    """

    weights: dict[str, Tensor]
    backbone: BackboneConfig
    in_channels: int
    task: Task
    contract: PreprocessingContract
    window_hu: tuple[float, float]
    crop_size: tuple[int, int, int]
    part: Part = "backbone"
    method: MethodConfig | None = None
    label_names: dict[int, str] = field(default_factory=dict)
    store_digest: str = ""
    words_digest: str = ""
    scans: int = 0
    steps: int = 0
    license_note: str = ""
    origin: str = ""
    version: str = version_of("selfscan")

    def to_json(self) -> dict[str, Any]:
        """Everything but the weights, as JSON values."""
        plain = {
            f.name: as_plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.name not in ("weights", "backbone", "method", "contract", "label_names")
        }
        return {
            "format": FORMAT,
            **plain,
            "backbone": _named(self.backbone),
            "method": None if self.method is None else _named(self.method),
            "contract": self.contract.to_json(),
            "label_names": {str(value): name for value, name in self.label_names.items()},
        }

    @classmethod
    def from_json(cls, described: dict[str, Any], weights: dict[str, Tensor]) -> Checkpoint:
        """The reverse of `to_json`.

        Raises:
            SelfscanError: The backbone, the method or one of their arguments is unknown here.
        """
        if described.get("format") != FORMAT:
            raise SelfscanError(
                f"found checkpoint format {described.get('format')}; expected {FORMAT}; "
                "use the version of selfscan that wrote it"
            )
        plain = {f.name: described[f.name] for f in dataclasses.fields(cls) if f.name in described}
        method = described["method"]
        return cls(
            **plain
            | {
                "weights": weights,
                "backbone": _rebuilt(BACKBONES, described["backbone"], kind="backbone"),
                "method": None if method is None else _rebuilt(METHODS, method, kind="method"),
                "contract": PreprocessingContract.from_json(described["contract"]),
                "window_hu": tuple(described["window_hu"]),
                "crop_size": tuple(described["crop_size"]),
                "label_names": {int(k): name for k, name in described["label_names"].items()},
            }
        )


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write the checkpoint at once or not at all, and its description as readable JSON beside it.

    Equal checkpoints give equal bytes. The description inside the file is the one that counts.
    """
    weights = {
        name: weight.detach().to("cpu", copy=True).contiguous()
        for name, weight in checkpoint.weights.items()
    }
    plain = checkpoint.to_json()
    described = json.dumps({**plain, _DIGEST: _digest(plain, weights)}, indent=2)
    # Written by Python: the library's writer does not say that a disk is full. One entry of
    # metadata, as the order of several differs from process to process.
    content = to_bytes(weights, metadata={_KEY: described})
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)
    with written_atomically(path.with_suffix(".json")) as temporary:
        temporary.write_text(described + "\n")


def load(path: Path) -> Checkpoint:
    """Read a checkpoint file, or the best one of a run folder; no code in it can run.

    Raises:
        SelfscanError: There is none, it is damaged, or it was not written by selfscan.
    """
    path = resolve(path)
    try:
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get(_KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise SelfscanError(
            f"{path}: found no readable safetensors file ({error}); expected a checkpoint of "
            "selfscan; copy it again, or train again with --resume"
        ) from error
    if described is None:
        raise SelfscanError(
            f"{path}: found safetensors without a selfscan description; expected a checkpoint "
            "written by selfscan"
        )
    plain = _plain(path, described)
    if plain.pop(_DIGEST, None) not in (None, _digest(plain, weights)):  # None: earlier versions
        raise _damaged(path)
    try:
        return Checkpoint.from_json(plain, weights)
    except SelfscanError as error:
        raise SelfscanError(f"{path}: {error}") from error


def resolve(path: Path) -> Path:
    """The checkpoint file that a path means: the file itself, or a run folder's best, else last.

    Raises:
        SelfscanError: There is no checkpoint.
    """
    path = Path(path)
    for candidate in (path, path / "best.safetensors", path / "last.safetensors"):
        if candidate.is_file():
            return candidate
    found = "a folder without checkpoints" if path.is_dir() else "nothing"
    raise SelfscanError(
        f"{path}: found {found}; expected a run folder with best.safetensors or last.safetensors, "
        "or a safetensors file"
    )


def _plain(path: Path, described: str) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(described)
    except ValueError as error:
        raise _damaged(path) from error
    return plain


def _damaged(path: Path) -> SelfscanError:
    return SelfscanError(
        f"{path}: found other contents than were written there; expected those that its digest is "
        "of; copy it again, or train again with --resume; and look at the disk"
    )


def _digest(plain: dict[str, Any], weights: dict[str, Tensor]) -> str:
    """SHA-256 of all that a file holds, in an order of its own."""
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name, weight in sorted(weights.items()):
        digest.update(f"\n{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _named(config: MethodConfig | BackboneConfig) -> dict[str, Any]:
    return {"name": config.name, "arguments": as_plain(config)["init_args"]}


def _rebuilt(
    registry: dict[str, type[_Config]], described: dict[str, Any], *, kind: str
) -> _Config:
    name = described["name"]
    if name not in registry:
        raise SelfscanError(
            f"found {kind} {name!r}; expected one of {', '.join(sorted(registry))}; "
            "a newer version of selfscan may know it"
        )
    try:
        return from_plain(registry[name], described["arguments"])
    except SelfscanError as error:
        raise SelfscanError(
            f"{kind} {name}: {error}; a newer version of selfscan may know them"
        ) from error

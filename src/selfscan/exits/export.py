"""The verb `export`: a trained network for other programs, read again and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from selfscan.exits.hub import push_to_hub
from selfscan.exits.leaving import Leaving, leaving, written_whole
from selfscan.exits.monai_bundle import write_bundle
from selfscan.exits.nnunet_checkpoint import write_nnunet
from selfscan.exits.onnx_files import write_onnx
from selfscan.exits.safetensors_folder import write_safetensors
from selfscan.progress import console

Exit = Literal["safetensors", "onnx", "monai", "nnunet"]
_WRITERS: dict[str, Callable[[Leaving, Path], float]] = {
    "safetensors": write_safetensors,
    "onnx": write_onnx,
    "monai": write_bundle,
    "nnunet": write_nnunet,
}


def export(
    run: Path,
    out: Path,
    *,
    to: Exit,
    push_to: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a trained network in another program's form.

    What was written is read again, as that program reads it, and must give the same output for the
    same volume; else nothing stays.

    Args:
        run: A run folder or checkpoint file, pre-trained or fine-tuned.
        out: The folder to write.
        to: `safetensors` with a model card; `onnx` graphs with `preprocessing.json`; `monai`, a
            bundle that `python -m monai.bundle run` runs; `nnunet`, a checkpoint to fine-tune
            `resenc-unet` and `plain-unet` from.
        push_to: Also upload the folder to this repository, owner/name, of the Hugging Face Hub.
        overwrite: Delete what `out` holds.

    Returns:
        The folder.

    Raises:
        SelfscanError: There is no whole checkpoint, the form cannot hold its network, a package is
            missing, or outputs differ.
        ValueError: There is no such form.
    """
    run, out = Path(run), Path(out)
    if to not in get_args(Exit):
        raise ValueError(f"to must be one of {', '.join(get_args(Exit))}, got {to!r}")
    model = leaving(run)
    with written_whole(out, overwrite=overwrite) as folder:
        difference = _WRITERS[to](model, folder)
    console.print(
        f"{out}: written for {to}; read again, outputs differ by {difference:.2g} at most",
        soft_wrap=True,
        highlight=False,
    )
    if note := model.checkpoint.license_note:
        console.print(note, soft_wrap=True, markup=False, highlight=False)
    if push_to is not None:
        console.print(f"pushed: {push_to_hub(out, push_to)}", soft_wrap=True, markup=False)
    return out

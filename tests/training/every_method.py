"""Every method in small, and processes that run them all: for tests of resuming and of ranks.

As a script it takes the folder of the data, the folder to write to, and jobs (the `repr` of a list
of keyword arguments of `run`), and does each job with each method.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from labelled_store import write_store
from word_table import write_words

from selfscan.errors import Interrupted
from selfscan.methods.autoencoder import AutoencoderConfig
from selfscan.methods.gvsl import GVSLConfig
from selfscan.methods.method import OptimizerConfig
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.methods.swin_unetr import SwinUNETRPretrainingConfig
from selfscan.methods.transvw import TransVWConfig
from selfscan.methods.vox2vec import Vox2VecConfig
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.gvsl_unet import GVSLUNetConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.training import pretext
from selfscan.training.engine import EngineConfig
from selfscan.training.pretext import PretextTask
from selfscan.training.pretrain import PretrainRecipe, pretrain
from selfscan.training.step import Stepper
from selfscan.transforms.cutout import CutoutConfig

STEPS, STOP_AFTER, CHECKPOINT_EVERY = 4, 3, 2
# Three cells along each axis of the coarsest map: with two, bfloat16 may fail on some CPUs.
_SIZE = (24, 24, 24)

# Each on the network that it was published with, but for Swin UNETR, whose own takes longer.
METHODS: dict[str, dict[str, Any]] = {
    "models-genesis": {
        "method": ModelsGenesisConfig(crop_size=_SIZE, shuffle_windows=20, batch_size=2),
        "backbone": UNet3DConfig(width=1),
    },
    "transvw": {
        "method": TransVWConfig(crop_size=_SIZE, shuffle_windows=20, batch_size=2),
        "backbone": UNet3DConfig(width=1, norm="batch"),
        "words": "words",
    },
    "swin-unetr": {
        "method": SwinUNETRPretrainingConfig(crop_size=_SIZE, projected=8, batch_size=1),
        "backbone": UNet3DConfig(width=1, norm="instance"),
    },
    "gvsl": {
        "method": GVSLConfig(crop_size=(16, 16, 16), batch_size=1),
        "backbone": GVSLUNetConfig(width=2),
    },
    "vox2vec": {
        "method": Vox2VecConfig(crop_size=_SIZE, voxels=40, projected=8, batch_size=2),
        "backbone": FPN3DConfig(channels=2, levels=3, blocks=1),
    },
    "autoencoder": {
        "method": AutoencoderConfig(crop_size=_SIZE, batch_size=2),
        "backbone": UNet3DConfig(width=1, norm="batch", skips=False, enlargement="nearest"),
    },
}

# Not Adam: it would blow up the rounding errors of gradients that are zero, before a norm. Not what
# is published for each device by itself: whom crops are contrasted with, and swapped with.
_SGD = OptimizerConfig(algorithm="sgd", learning_rate=0.01)
_JOINT = {"swin-unetr": {"gather": True, "cutout": CutoutConfig(swap=False)}}


def write_data(folder: Path) -> Path:
    """The store and the words that all runs learn from."""
    write_words(write_store(folder / "store"), folder / "words")
    return folder


def run(
    name: str,
    data: Path,
    out: Path,
    *,
    engine: dict[str, Any],
    joint: bool = False,
    batches: int = 1,
    resume: bool = False,
    end: str = "",
) -> None:
    """Pre-train by a method in small.

    Args:
        name: Of the method.
        data: From `write_data`.
        out: The run folder.
        engine: Fields of the engine that are not as usual.
        joint: Choose what does not depend on how a batch is spread over processes, for two steps
            in float64, where rounding cannot pass for a difference: in float32 PyTorch's batch norm
            on a CPU gives gradients that are off by up to a hundredth.
        batches: How many batches of the usual size are one here.
        resume: Go on with what is there.
        end: `asked`: one rank gets SIGTERM in the middle of the run. `lost`: all ranks fail in the
            next step, when the last checkpoint is a step old.
    """
    case = dict(METHODS[name])
    method = replace(case["method"], batch_size=batches * case["method"].batch_size)
    if joint:
        method = replace(method, optimizer=_SGD, **_JOINT.get(name, {}))
    if "words" in case:
        case["words"] = data / case["words"]
    recipe = PretrainRecipe(
        steps=2 if joint else STEPS,
        accumulate=2,
        validation_examples=2,
        validate_every=2,
        checkpoint_every=CHECKPOINT_EVERY,
        log_every=2,
    )
    with _ended(end), _in_double() if joint else nullcontext():
        pretrain(
            data / "store",
            out,
            **case | {"method": method},
            recipe=recipe,
            engine=EngineConfig(accelerator="cpu", threads=1, **engine),
            seed=3,
            splits=("train", "test"),
            resume=resume,
        )


@contextmanager
def _ended(end: str) -> Iterator[None]:
    take = Stepper.take

    def ending(self: Stepper, step: int, upcoming: Any) -> dict[str, float]:
        if end == "lost" and step == STOP_AFTER:
            raise KeyboardInterrupt
        values = take(self, step, upcoming)
        last_rank = int(os.environ.get("LOCAL_RANK", "0")) == torch_ranks() - 1
        if end == "asked" and step == STOP_AFTER - 1 and last_rank:
            os.kill(os.getpid(), signal.SIGTERM)
        return values

    if not end:
        yield
        return
    Stepper.take = ending  # type: ignore[method-assign]
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        return
    finally:
        Stepper.take = take  # type: ignore[method-assign]
    raise AssertionError("expected the run to stop")


@contextmanager
def _in_double() -> Iterator[None]:
    build, draw = PretextTask.__init__, pretext.draw_views

    def in_double(self: PretextTask, *arguments: Any, **named: Any) -> None:
        build(self, *arguments, **named)
        self.double()

    def doubled(*arguments: Any, **named: Any) -> dict[str, torch.Tensor]:
        views = draw(*arguments, **named)
        return {n: v.double() if v.is_floating_point() else v for n, v in views.items()}

    PretextTask.__init__, pretext.draw_views = in_double, doubled  # type: ignore[method-assign]
    try:
        yield
    finally:
        PretextTask.__init__, pretext.draw_views = build, draw  # type: ignore[method-assign]


def torch_ranks() -> int:
    """How many processes train together."""
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_initialized() else 1


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def run_all(data: Path, out: Path, jobs: list[dict[str, Any]], *launcher: str) -> None:
    """Do jobs (`run`, and `run` for the folder's name) with all methods in processes of their own.

    Args:
        data: From `write_data`.
        out: Where the folders of jobs are, and in these the run folder of each method.
        jobs: What to do.
        launcher: Arguments of Python that start the script, such as `TORCHRUN`.
    """
    done = subprocess.run(
        [sys.executable, *launcher, __file__, str(data), str(out), repr(jobs)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]


if __name__ == "__main__":
    given_data, given_out, given_jobs = sys.argv[1:]
    for job in eval(given_jobs):
        into = Path(given_out) / job.pop("into")
        for each in METHODS:
            run(each, Path(given_data), into / each, **job)

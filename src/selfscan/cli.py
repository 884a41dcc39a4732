"""The command line: one verb, one typed function; flags and YAML keys are its arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from rich.markup import escape
from rich.table import Table

from selfscan import __version__
from selfscan.errors import SelfscanError
from selfscan.progress import console

VERBS = {
    "prepare": ("selfscan.scans.prepare", "Turn files and folders of scans into a store."),
    "inspect": ("selfscan.evaluation.inspect", "Look at a store, and at what was left out."),
    "pretrain": ("selfscan.training.pretrain", "Pre-train a backbone on a store, without labels."),
    "discover": ("selfscan.discovery.discover", "Find places that look alike across patients."),
    "probe": ("selfscan.training.probe", "Measure frozen features by small heads on few labels."),
    "retrieve": ("selfscan.evaluation.retrieve", "Find voxels in other scans by their features."),
    "register": ("selfscan.training.register", "Move a scan onto that of another patient."),
    "align": ("selfscan.evaluation.align", "Move labels between patients; measure their overlap."),
    "finetune": ("selfscan.training.finetune", "Train a segmentation model from a checkpoint."),
    "predict": ("selfscan.training.predict", "Segment scans, each in its own geometry."),
    "evaluate": ("selfscan.evaluation.evaluate", "Score predictions: Dice, NSD, HD95."),
    "compare": ("selfscan.evaluation.compare", "Pre-trained against from scratch: a report."),
    "import": (
        "selfscan.checkpoints.import_weights",
        "Take in what others published.",
    ),
    "export": ("selfscan.exits.export", "Write for safetensors, ONNX, MONAI or nnU-Net."),
    "classify": ("selfscan.evaluation.classify", "Classify scans by frozen features."),
    "suggest": ("selfscan.evaluation.suggest", "Which unlabeled scans to label next."),
    "demo": ("selfscan.demo", "The whole way on generated torsos; no data needed."),
    "list": ("selfscan.cli", "Methods and backbones to choose from."),
}
# `import` is a word of Python's own.
FUNCTIONS = {"import": "import_weights"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code.

    0: done. 2: an error in what was given. 3: done, with inputs left out, under `--strict`.
    130, 138 and 143: stopped by SIGINT, SIGUSR1 or SIGTERM, with a checkpoint to resume from.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        _print_verbs()
        return 0
    if given[0] == "--version":
        print(f"selfscan {__version__}")
        return 0
    if given[0] not in VERBS:
        return _fail(f"no verb {given[0]!r}; choose from {', '.join(VERBS)}")
    verb, *options = given
    if verb == "list":
        _print_parts()
        return 0
    try:
        from selfscan.flags import parse

        module, line = VERBS[verb]
        function = getattr(import_module(module), FUNCTIONS.get(verb, verb))
        function(**parse(function, options, program=f"selfscan {verb}", description=line))
    except SelfscanError as error:
        return _fail(str(error), code=error.exit_code)
    except ValueError as error:
        if "SELFSCAN_TRACEBACK" in os.environ:
            raise
        return _fail(f"{error} (SELFSCAN_TRACEBACK=1 shows where)")
    return 0


def _fail(message: str, *, code: int = 2) -> int:
    console.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True, highlight=False)
    return code


def _print_verbs() -> None:
    print("usage: selfscan VERB ...   (selfscan VERB --help for its arguments)\n")
    for verb, (_, line) in VERBS.items():
        print(f"  {verb:9} {line}")


def _print_parts() -> None:
    from selfscan.methods import METHODS
    from selfscan.networks import BACKBONES

    methods = Table("method", "source", "note", title="Methods", title_justify="left")
    for name, method in METHODS.items():
        methods.add_row(name, method.source, method.license_note)
    backbones = Table("backbone", "what it is", title="Backbones", title_justify="left")
    for name, backbone in BACKBONES.items():
        backbones.add_row(name, (backbone.__doc__ or "").splitlines()[0])
    console.print(methods, backbones)

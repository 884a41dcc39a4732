"""Pre-train a 3D medical-image backbone on your own scans, and learn honestly whether it helped.

The verbs of the command line are functions here, loaded when first used:

    import selfscan

    store = selfscan.prepare("scans/", "store/")
    run = selfscan.pretrain("store/", "run/", method="models-genesis")
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfscan.checkpoints.import_weights import import_weights as import_weights
    from selfscan.demo import demo as demo
    from selfscan.discovery.discover import discover as discover
    from selfscan.evaluation.align import align as align
    from selfscan.evaluation.classify import classify as classify
    from selfscan.evaluation.compare import compare as compare
    from selfscan.evaluation.evaluate import evaluate as evaluate
    from selfscan.evaluation.inspect import inspect as inspect
    from selfscan.evaluation.retrieve import retrieve as retrieve
    from selfscan.evaluation.suggest import suggest as suggest
    from selfscan.exits.export import export as export
    from selfscan.scans.prepare import prepare as prepare
    from selfscan.scans.store import Store as Store
    from selfscan.training.finetune import finetune as finetune
    from selfscan.training.predict import predict as predict
    from selfscan.training.pretrain import pretrain as pretrain
    from selfscan.training.probe import probe as probe
    from selfscan.training.register import register as register

__version__ = version("selfscan")

_HOMES = {
    "Store": "selfscan.scans.store",
    "prepare": "selfscan.scans.prepare",
    "inspect": "selfscan.evaluation.inspect",
    "pretrain": "selfscan.training.pretrain",
    "discover": "selfscan.discovery.discover",
    "probe": "selfscan.training.probe",
    "retrieve": "selfscan.evaluation.retrieve",
    "register": "selfscan.training.register",
    "align": "selfscan.evaluation.align",
    "finetune": "selfscan.training.finetune",
    "predict": "selfscan.training.predict",
    "evaluate": "selfscan.evaluation.evaluate",
    "compare": "selfscan.evaluation.compare",
    "import_weights": "selfscan.checkpoints.import_weights",
    "export": "selfscan.exits.export",
    "classify": "selfscan.evaluation.classify",
    "suggest": "selfscan.evaluation.suggest",
    "demo": "selfscan.demo",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import a verb when it is first asked for, so that `import selfscan` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'selfscan' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

"""What a result must say to be made again: when, by which command, with which versions."""

from __future__ import annotations

import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("selfscan", "torch", "lightning-fabric", "monai", "numpy", "scipy")


def provenance() -> dict[str, Any]:
    """The `date`, the `command` and the `versions`, as JSON values."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES},
    }

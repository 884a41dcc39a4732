"""Packages that only some verbs need, asked for when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from selfscan.errors import SelfscanError


def optional(module: str, *, extra: str, purpose: str, remedy: str | None = None) -> Any:
    """Import a module of a package that is installed with one of selfscan's extras.

    Args:
        module: The module's full name.
        extra: The extra that brings its package.
        purpose: What it is needed for, as in "to write ONNX".
        remedy: How to install it, if not by the extra alone.

    Raises:
        SelfscanError: It is not installed, or lacks a package itself.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise SelfscanError(
            f"found no package {error.name or module} (wanted {purpose}); expected the extra "
            f"{extra!r} of selfscan; {remedy or f'pip install selfscan[{extra}]'}"
        ) from error

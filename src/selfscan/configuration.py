"""The configuration of a run as a YAML file that the command line reads back with `--config`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from selfscan.files import written_atomically


def save_config(folder: Path, arguments: Mapping[str, object]) -> Path:
    """Write the resolved arguments of a verb to `folder/config.yaml`.

    Args:
        folder: The run folder.
        arguments: The verb's arguments by name; dataclasses, paths and plain values.
    """
    path = folder / "config.yaml"
    plain = {name: as_plain(value) for name, value in arguments.items()}
    with written_atomically(path) as temporary:
        temporary.write_text(yaml.safe_dump(plain, sort_keys=False))
    return path


def as_plain(value: object) -> Any:
    """Dataclasses, paths and tuples as the dictionaries, strings and lists of YAML and JSON.

    A dataclass that is one choice among several (a method, a backbone) says which it is.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: as_plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.init
        }
        kind = type(value)
        if hasattr(kind, "name"):
            return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": fields}
        return fields
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_plain(item) for item in value]
    return value

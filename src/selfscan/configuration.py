"""The configuration of a run as a YAML file that the command line reads back with `--config`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from selfscan.errors import SelfscanError
from selfscan.files import written_atomically

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Config = TypeVar("_Config", bound="DataclassInstance")


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


def from_plain(kind: type[_Config], plain: Mapping[str, Any]) -> _Config:
    """A dataclass from what `as_plain` made of its fields; a field left out takes its default.

    Raises:
        SelfscanError: A name that is not a field.
    """
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    if unknown := sorted(set(plain) - known):
        raise SelfscanError(
            f"found arguments {', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
        )
    return kind(**{name: _of_type(hints[name], value) for name, value in plain.items()})


def _of_type(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_plain(hint, value)
    if isinstance(value, list):
        return tuple(_of_type(None, item) for item in value)
    return value

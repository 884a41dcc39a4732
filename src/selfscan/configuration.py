"""The configuration of a run as a YAML file that the command line reads back with `--config`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
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


def changes(before: Mapping[str, Any], now: Mapping[str, object]) -> dict[str, tuple[Any, Any]]:
    """What differs between written arguments and those of now, by dotted name: (before, now).

    An argument that was not known when the others were written is no change where it has the
    default of its dataclass, or, outside of one, where it is nothing: none, false or empty.

    Args:
        before: What `as_plain` made of the arguments then.
        now: The arguments themselves.
    """
    earlier = dict(_flat(before))
    current = {name: (plain, default) for name, plain, default in _leaves(now, "")}
    nothing: tuple[Any, ...] = (None, False, [], {})
    found = {}
    for name in sorted(earlier.keys() | current.keys()):
        plain, default = current.get(name, (None, None))
        if name not in earlier:
            changed = plain not in nothing if default is None else plain != default
        elif name not in current:
            changed = earlier[name] not in nothing
        else:
            changed = earlier[name] != plain
        if changed:
            found[name] = (earlier.get(name), plain)
    return found


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


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flat(item, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, value


def _leaves(value: object, prefix: str, default: Any = None) -> Iterator[tuple[str, Any, Any]]:
    """Dotted names as `_flat` gives them of `as_plain`, plain values and their plain defaults."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        if hasattr(kind, "name"):
            yield f"{prefix}.class_path", as_plain(value)["class_path"], None
            prefix = f"{prefix}.init_args"
        fields = [field for field in dataclasses.fields(value) if field.init]
        for field in fields:
            usual = field.default
            if field.default_factory is not dataclasses.MISSING:
                usual = field.default_factory()
            inner = None if usual is dataclasses.MISSING else as_plain(usual)
            name = f"{prefix}.{field.name}" if prefix else field.name
            yield from _leaves(getattr(value, field.name), name, inner)
        if not fields:
            yield prefix, {}, {}
    elif isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, as_plain(value), default

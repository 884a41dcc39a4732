"""Flags in the forms that people type, parsed to the typed arguments of a verb's function."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser, set_parsing_settings

from selfscan.configuration import as_plain
from selfscan.methods import METHODS, method_config
from selfscan.methods.method import MethodConfig
from selfscan.networks import BACKBONES, SIZES, backbone_config
from selfscan.networks.backbone import BackboneConfig

_CHOICES: dict[str, dict[str, type[Any]]] = {"method": {**METHODS}, "backbone": {**BACKBONES}}


def parse(
    function: Callable[..., object], options: Sequence[str], *, program: str, description: str
) -> dict[str, Any]:
    """The arguments of a function from flags and YAML; ends the process after `--help` and errors.

    `--resume` means true, `--labels 4 8` is a list, hyphens are underscores, and
    `--method models-genesis:paper` names a configuration by its registered name and a preset.
    """
    set_parsing_settings(subclasses_enabled=[MethodConfig, BackboneConfig])
    parser = ArgumentParser(prog=program, description=description)
    parser.add_argument("--config", action="config", help="YAML file of these arguments.")
    parser.add_function_arguments(function, as_positional=True, fail_untyped=True)
    kinds = {action.dest: getattr(action, "_typehint", None) for action in parser._actions}
    chosen = parser.parse_args(_spelled_out(list(options), kinds | _kinds_of_fields(kinds)))
    chosen.pop("config", None)
    arguments: dict[str, Any] = parser.instantiate_classes(chosen).as_dict()
    return arguments


def _spelled_out(options: list[str], kinds: dict[str, Any]) -> list[str]:
    """The options as jsonargparse takes them: one value a flag, and choices before their fields.

    Fields of a method or backbone that is not named are those of the default: of the first method,
    and of the backbone that the method was published with.
    """
    named: dict[str, str] = {}
    first: list[str] = []
    rest: list[str] = []
    while options:
        option = options.pop(0)
        flag, has_value, value = option.partition("=")
        name = flag[2:].replace("-", "_") if flag.startswith("--") else ""
        kind = kinds.get(name)
        if not name or name not in kinds:
            rest.append(option)
            continue
        values = [value] if has_value else _values(options, many=_is_list(kind))
        if kind is bool and values[:1] not in (["true"], ["false"]):
            rest += [f"--{name}", "true", *values]
        elif name in _CHOICES and values and _is_choice(kind):
            named[name] = values[0]
            first += [f"--{name}", _choice(name, values[0])]
        elif name == "config":
            first[:0] = ["--config", *values]
        elif _is_list(kind) and values and not _stands_as_it_is(values, kind):
            rest += [f"--{name}", _listed(values, kind)]
        else:
            rest += [f"--{name}", *values]
    method = named.get("method", next(iter(METHODS)) if "method" in kinds else None)
    for name in _CHOICES:
        has_fields = any(option.startswith(f"--{name}.") for option in rest)
        if has_fields and name not in named and "--config" not in first:
            first += [f"--{name}", _default(name, method)]
    return first + rest


def _values(options: list[str], *, many: bool) -> list[str]:
    """Take the values that follow a flag off the options."""
    values: list[str] = []
    while options and not options[0].startswith("--") and (many or not values):
        values.append(options.pop(0))
    return values


def _choice(name: str, value: str) -> str:
    """A registered name with or without a preset, or plans, as JSON; anything else as it is."""
    registered = value.partition(":")[0]
    if name == "backbone" and (registered in SIZES or registered.endswith(".json")):
        return json.dumps(as_plain(backbone_config(value)))
    if registered not in _CHOICES[name]:
        return value
    named = method_config if name == "method" else backbone_config
    return json.dumps(as_plain(named(value)))


def _default(name: str, method: str | None) -> str:
    """The choice whose fields are given, where none is named; the backbone is the method's own."""
    if name == "backbone" and method is not None and method.partition(":")[0] in METHODS:
        return json.dumps(as_plain(method_config(method).default_backbone))
    return _choice(name, next(iter(_CHOICES[name])))


def _is_choice(kind: Any) -> bool:
    """Whether the type is a configuration of a method or backbone, and not a mere name."""
    bases = (MethodConfig, BackboneConfig)
    return any(isinstance(part, type) and issubclass(part, bases) for part in _types(kind))


def _kinds_of_fields(kinds: dict[str, Any]) -> dict[str, Any]:
    """The types of the fields of each dataclass that an argument may be, as in `method.fill`."""
    found: dict[str, Any] = {}
    for name, kind in kinds.items():
        for part in _CHOICES.get(name, {}).values() or (kind, *typing.get_args(kind)):
            if dataclasses.is_dataclass(part):
                hints = typing.get_type_hints(part)
                inner = {f"{name}.{field}": hint for field, hint in hints.items()}
                found |= inner | _kinds_of_fields(inner)
    return found


def _stands_as_it_is(values: list[str], kind: Any) -> bool:
    """A list in brackets, or one number where the type may be a number too."""
    one_number = int in _types(kind) and len(values) == 1 and values[0].isdecimal()
    return one_number or values[0].startswith("[")


def _is_list(kind: Any) -> bool:
    return bool(_list_types(kind))


def _listed(values: list[str], kind: Any) -> str:
    """Values as one list; those of a list of text are quoted, so that `007` stays as it is."""
    (elements, *_) = (typing.get_args(part)[:1] for part in _list_types(kind))
    return "[" + ", ".join(map(json.dumps, values) if elements == (str,) else values) + "]"


def _list_types(kind: Any) -> list[Any]:
    """The list types among those that an argument may have."""
    origins = [(part, typing.get_origin(part)) for part in _types(kind)]
    return [part for part, of in origins if isinstance(of, type) and issubclass(of, Sequence)]


def _types(kind: Any) -> tuple[Any, ...]:
    """The members of a union; another type alone."""
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return typing.get_args(kind) if union else (kind,)

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from selfscan.configuration import as_plain, changes, from_plain, save_config
from selfscan.errors import SelfscanError
from selfscan.networks.plain_unet import PlainUNetConfig


@dataclass(frozen=True)
class Choice:
    name: ClassVar[str] = "choice"
    size: tuple[int, int] = (1, 2)


@dataclass(frozen=True)
class Inner:
    size: tuple[int, int] = (1, 2)
    word: str = "a"


@dataclass(frozen=True)
class Nested:
    inner: Inner = Inner()
    rate: float = 0.5


@dataclass(frozen=True)
class Plain:
    where: Path = Path("a/b")
    nothing: None = None


def test_choices_say_which_they_are_and_plain_dataclasses_do_not(tmp_path: Path) -> None:
    save_config(tmp_path, {"method": Choice(), "recipe": Plain(), "seeds": (0, 1)})
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {
        "method": {"class_path": f"{__name__}.Choice", "init_args": {"size": [1, 2]}},
        "recipe": {"where": "a/b", "nothing": None},
        "seeds": [0, 1],
    }


def test_a_dataclass_comes_back_from_plain_values() -> None:
    value = Nested(Inner((3, 4), "b"), 0.25)
    assert from_plain(Nested, json.loads(json.dumps(as_plain(value)))) == value
    assert from_plain(Nested, {"inner": {"word": "b"}}) == Nested(Inner(word="b"))


def test_names_that_are_no_fields_are_refused() -> None:
    with pytest.raises(SelfscanError, match="found arguments colour; expected some of size, word"):
        from_plain(Nested, {"inner": {"colour": "red"}})


def test_lists_within_lists_come_back_as_tuples() -> None:
    config = PlainUNetConfig(bias=False)
    plain = json.loads(json.dumps(as_plain(config)["init_args"]))
    assert from_plain(PlainUNetConfig, plain) == config


def test_changes_are_named_and_new_fields_with_their_defaults_are_none() -> None:
    given = {"method": Choice(), "recipe": Nested(), "where": Path("a"), "seeds": (0, 1)}
    before = as_plain(given)
    assert changes(before, given) == {}
    del before["recipe"]["inner"]["word"]
    del before["method"]["init_args"]["size"]
    assert changes(before, given) == {}
    other = given | {"recipe": Nested(Inner(word="b"), rate=0.1), "seeds": (0,)}
    assert changes(before, other) == {
        "recipe.inner.word": (None, "b"),
        "recipe.rate": (0.5, 0.1),
        "seeds": ([0, 1], [0]),
    }
    assert changes(before | {"gone": 3}, given) == {"gone": (3, None)}
    assert changes(before, given | {"workers": None, "fast": False}) == {}
    assert changes(before, given | {"workers": 2}) == {"workers": (None, 2)}

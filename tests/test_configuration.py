from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import yaml

from selfscan.configuration import save_config


@dataclass(frozen=True)
class Choice:
    name: ClassVar[str] = "choice"
    size: tuple[int, int] = (1, 2)


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

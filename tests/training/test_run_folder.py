"""Run folders: claimed, and resumed by the same arguments only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from selfscan.errors import SelfscanError
from selfscan.training.engine import EngineConfig
from selfscan.training.run_folder import open_run_folder


@dataclass(frozen=True)
class Recipe:
    steps: int = 3
    log_every: int = 1
    crop_size: tuple[int, int] = (4, 5)


def open_folder(out: Path, *, resume: bool = False, overwrite: bool = False, **given: Any) -> None:
    arguments = {"store": Path("a"), "recipe": Recipe(), "engine": EngineConfig(), "seed": 0}
    open_run_folder(
        out,
        arguments | given,
        fabric=EngineConfig(accelerator="cpu").fabric(),
        resume=resume,
        overwrite=overwrite,
    )


def test_the_resolved_arguments_are_written_down(tmp_path: Path) -> None:
    open_folder(tmp_path / "run")
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["recipe"] == {"steps": 3, "log_every": 1, "crop_size": [4, 5]}
    assert written["engine"]["precision"] == "auto"


def test_a_used_folder_needs_to_be_told(tmp_path: Path) -> None:
    open_folder(tmp_path)
    with pytest.raises(SelfscanError, match="--resume to go on"):
        open_folder(tmp_path)
    open_folder(tmp_path, resume=True)
    (tmp_path / "state.ckpt").touch()
    open_folder(tmp_path, overwrite=True, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_other_arguments_are_another_run(tmp_path: Path) -> None:
    open_folder(tmp_path)
    with pytest.raises(SelfscanError, match=r"recipe.steps 4 where it was 3; seed 1 where it was"):
        open_folder(tmp_path, resume=True, recipe=Recipe(steps=4), seed=1)


def test_what_does_not_decide_what_is_learned_may_change(tmp_path: Path) -> None:
    open_folder(tmp_path)
    engine = EngineConfig(workers=2, threads=1)
    open_folder(tmp_path, resume=True, recipe=Recipe(log_every=7), engine=engine)
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert written["engine"]["workers"] == 2


def test_a_run_goes_on_where_the_code_gained_an_argument_that_changes_nothing(
    tmp_path: Path,
) -> None:
    open_folder(tmp_path)
    config = tmp_path / "config.yaml"
    written = yaml.safe_load(config.read_text())
    del written["recipe"]["crop_size"]
    config.write_text(yaml.safe_dump(written))
    with pytest.raises(SelfscanError, match=r"recipe.crop_size \[4, 6\] where it was None"):
        open_folder(tmp_path, resume=True, recipe=Recipe(crop_size=(4, 6)))
    with pytest.raises(SelfscanError, match=r"extra 3 where it was None"):
        open_folder(tmp_path, resume=True, extra=3)
    open_folder(tmp_path, resume=True, extra=None)

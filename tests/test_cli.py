from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from selfscan import cli
from selfscan.errors import SelfscanError
from selfscan.methods import METHODS
from selfscan.methods.method import MethodConfig
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks import BACKBONES
from selfscan.networks.backbone import BackboneConfig
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.unet3d import UNet3DConfig

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Recipe:
    steps: int = 10
    crop_size: Size | None = None


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Puts a verb in place of `pretrain` that notes what it is called with."""
    noted: list[dict[str, Any]] = []

    def pretrain(
        store: Path,
        out: Path,
        *,
        method: MethodConfig | str = "models-genesis",
        backbone: BackboneConfig | None = None,
        recipe: Recipe = Recipe(),
        labels: Sequence[int] = (4,),
        cases: int | Sequence[str] | None = None,
        resume: bool = False,
    ) -> None:
        """Note the arguments.

        Args:
            store: The store.
            out: The run folder.
            method: The method.
            backbone: The network.
            recipe: How long.
            labels: How many.
            cases: How many, or which.
            resume: Go on.
        """
        noted.append(locals() | {"noted": None})
        if str(out) == "refused":
            raise SelfscanError(f"{out}: found [nothing]; expected something")
        if str(out) == "invalid":
            raise ValueError("steps must be positive, got -1")

    module = ModuleType("verbs_of_the_test")
    module.pretrain = pretrain  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cli.VERBS, "pretrain", (module.__name__, "Note the arguments."))
    return noted


@pytest.mark.parametrize(
    ("values", "expected"), [(["6"], 6), (["a7"], ["a7"]), (["7", "8"], ["7", "8"])]
)
def test_a_number_or_a_list_of_names(
    calls: list[dict[str, Any]], values: list[str], expected: object
) -> None:
    assert cli.main(["pretrain", "s", "o", "--cases", *values]) == 0
    assert calls[0]["cases"] == expected


def test_a_list_may_have_one_value(calls: list[dict[str, Any]]) -> None:
    assert cli.main(["pretrain", "s", "o", "--labels", "3"]) == 0
    assert calls[0]["labels"] == [3]


def test_flags_become_typed_arguments(calls: list[dict[str, Any]]) -> None:
    options = ["s", "o", "--resume", "--labels", "4", "8", "--recipe.crop_size", "40", "56", "40"]
    assert cli.main(["pretrain", *options]) == 0
    (call,) = calls
    assert (call["store"], call["out"]) == (Path("s"), Path("o"))
    assert call["resume"] is True
    assert list(call["labels"]) == [4, 8]
    assert call["recipe"] == Recipe(crop_size=(40, 56, 40))


def test_hyphens_and_underscores_are_one_name(calls: list[dict[str, Any]]) -> None:
    assert cli.main(["pretrain", "s", "o", "--recipe.crop-size", "8", "8", "8"]) == 0
    assert calls[0]["recipe"].crop_size == (8, 8, 8)


def test_a_part_of_the_optimizer_leaves_the_rest_as_published(calls: list[dict[str, Any]]) -> None:
    assert cli.main(["pretrain", "s", "o", "--method.optimizer.learning_rate", "0.1"]) == 0
    published = ModelsGenesisConfig().optimizer
    assert calls[0]["method"].optimizer == replace(published, learning_rate=0.1)


def test_a_method_is_chosen_by_name_with_its_hyper_parameters(calls: list[dict[str, Any]]) -> None:
    options = ["--method", "models-genesis", "--method.curve_probability", "0.25"]
    assert cli.main(["pretrain", "s", "o", *options]) == 0
    assert calls[0]["method"] == ModelsGenesisConfig(curve_probability=0.25)


def test_a_preset_is_chosen_by_name_and_can_be_changed(calls: list[dict[str, Any]]) -> None:
    options = ["--method", "models-genesis:paper", "--method.shuffle_windows", "50"]
    assert cli.main(["pretrain", "s", "o", *options]) == 0
    assert calls[0]["method"].fill == "constant"
    assert calls[0]["method"].shuffle_windows == 50


def test_fields_of_no_named_backbone_change_that_of_the_method(calls: list[dict[str, Any]]) -> None:
    assert cli.main(["pretrain", "a", "b", "--method", "transvw", "--backbone.width", "8"]) == 0
    assert calls[0]["backbone"] == UNet3DConfig(width=8, norm="batch")
    assert cli.main(["pretrain", "a", "b", "--method=vox2vec", "--backbone.levels", "4"]) == 0
    assert calls[1]["backbone"] == FPN3DConfig(levels=4)


def test_yaml_says_the_same_as_flags(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"store": "s", "out": "o", "recipe": {"steps": 7}}))
    assert cli.main(["pretrain", "--config", str(config)]) == 0
    assert (calls[0]["store"], calls[0]["recipe"].steps) == (Path("s"), 7)


def test_print_config_gives_yaml_that_config_reads(
    calls: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["s", "o", "--method", "models-genesis", "--method.shuffle_windows", "9"]
    with pytest.raises(SystemExit):
        cli.main(["pretrain", *options, "--print_config"])
    config = tmp_path / "config.yaml"
    config.write_text(capsys.readouterr().out)
    assert cli.main(["pretrain", "--config", str(config)]) == 0
    assert calls[0]["method"] == ModelsGenesisConfig(shuffle_windows=9)


def test_an_error_is_one_line_and_exit_code_2(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["pretrain", "s", "refused"]) == 2
    assert capsys.readouterr().err == "error: refused: found [nothing]; expected something\n"


def test_a_refused_value_is_one_line_and_exit_code_2(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["pretrain", "s", "invalid"]) == 2
    assert "error: steps must be positive, got -1" in capsys.readouterr().err


def test_a_hyper_parameter_out_of_range_fails_before_the_verb(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--method", "models-genesis", "--method.curve_probability", "1.5"]
    assert cli.main(["pretrain", "s", "o", *options]) == 2
    assert calls == []
    assert "curve_probability" in capsys.readouterr().err


def test_an_unknown_verb_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pretain"]) == 2
    assert "prepare, inspect, pretrain, discover, probe" in capsys.readouterr().err


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in cli.VERBS)


def test_list_shows_methods_with_their_notes_and_backbones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().err
    assert all(name in shown for name in METHODS)
    assert all(name in shown for name in BACKBONES)


@pytest.mark.parametrize("verb", [verb for verb in cli.VERBS if verb != "list"])
def test_every_verb_explains_each_of_its_arguments(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])
    assert stop.value.code == 0
    assert f"usage: selfscan {verb}" in capsys.readouterr().out

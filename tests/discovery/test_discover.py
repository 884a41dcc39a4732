"""The verb from end to end: what it leaves, the same words after a stop, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest
from page_parser import Page
from patients_store import write_store

import selfscan.discovery.discover as verb
from selfscan.checkpoints.checkpoint import load
from selfscan.discovery.discover import discover
from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.errors import SelfscanError
from selfscan.methods.autoencoder import AutoencoderConfig
from selfscan.methods.method import OptimizerConfig
from selfscan.scans.store import Store
from selfscan.scans.words import Words
from selfscan.training.engine import EngineConfig
from selfscan.training.held_out import hold_out
from selfscan.training.pretrain import PretrainRecipe
from selfscan.training.seeds import derive_seed
from selfscan.training.step import Stepper

AUTOENCODER = AutoencoderConfig(
    crop_size=(16, 16, 8),
    batch_size=4,
    optimizer=OptimizerConfig(algorithm="adam", learning_rate=1e-2),
)
RECIPE = DiscoveryRecipe(
    words=3,
    members=4,
    validation_members=2,
    size=(6, 6, 4),
    border=(0.1, 0.1, 0.1),
    margin=1,
    min_distance=3.0,
)
SMALL: dict[str, Any] = {
    "recipe": RECIPE,
    "autoencoder": AUTOENCODER,
    "network": replace(AUTOENCODER.default_backbone, width=1),
    "training": PretrainRecipe(
        steps=4, validation_share=0.25, validation_examples=4, validate_every=2, checkpoint_every=1
    ),
    "engine": EngineConfig(accelerator="cpu", precision="32-true", threads=1),
    "seed": 5,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store")).path


@pytest.fixture(scope="module")
def out(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return discover(store, tmp_path_factory.mktemp("words") / "out", **SMALL)


@pytest.mark.slow
def test_what_it_leaves(store: Path, out: Path) -> None:
    words, source = Words.read(out), Store(store)
    words.check(source)
    assert len(words) == 3
    assert [len(words.of(1, side)) for side in ("training", "validation")] == [4, 2]
    header = words.header
    assert (header.seed, header.frame, header.size) == (5, "body", (6, 6, 4))
    assert header.constants["min_distance"] == 3.0
    assert header.counts["training_scans"] == 10
    assert header.store == source.digest()
    table = pd.read_csv(out / "words.csv")
    assert list(table["reference"]) == [origin.reference for origin in header.origins]
    assert table["correlation"].between(-1, 1).all()
    facts = json.loads((out / "words.json").read_text())
    assert facts["embedder"]["digest"] == header.embedder
    assert (out / "config.yaml").exists()


@pytest.mark.slow
def test_held_out_patients_are_those_of_pre_training(store: Path, out: Path) -> None:
    learned, held = hold_out(Store(store), share=0.25, seed=derive_seed(5, "validation patients"))
    members = Words.read(out).members
    assert {m.scan for m in members if m.split == "training"} <= set(learned.ids)
    assert {m.scan for m in members if m.split == "validation"} <= set(held.ids)
    assert load(out / "embedder").store_digest == learned.digest()


@pytest.mark.slow
def test_the_page_is_whole_and_fetches_nothing(out: Path) -> None:
    text = (out / "words.html").read_text("utf-8")
    table = pd.read_csv(out / "words.csv")
    alike = (table["correlation"] > table["any_patients"]).sum()
    assert f"In {alike} of 3 words the members look more alike than any patients" in text
    page = Page(text)
    assert page.open == []
    assert len(page.images) == 3
    assert all(address.startswith("data:image/png;base64,") for address in page.fetched)
    assert all("in 6 scans: reference, rank 1" in str(image["alt"]) for image in page.images)


@pytest.mark.slow
def test_a_search_that_was_stopped_ends_in_the_same_words(
    store: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Stepper.take
    with monkeypatch.context() as stopping:
        stopping.setattr(
            Stepper, "take", lambda it, step, more: _stop() if step == 2 else take(it, step, more)
        )
        with pytest.raises(KeyboardInterrupt):
            discover(store, tmp_path / "out", **SMALL)
    assert load(tmp_path / "out" / "embedder" / "last.safetensors").steps == 2
    with monkeypatch.context() as stopping:
        stopping.setattr(verb, "find_words", _stop)
        with pytest.raises(KeyboardInterrupt):
            discover(store, tmp_path / "out", **SMALL, resume=True)
    assert len(list((tmp_path / "out" / "embeddings").iterdir())) == 2
    with pytest.raises(SelfscanError, match="give --resume to go on with it"):
        discover(store, tmp_path / "out", **SMALL)
    discover(store, tmp_path / "out", **SMALL, resume=True)
    written = (tmp_path / "out" / "words.parquet").read_bytes()
    assert written == (out / "words.parquet").read_bytes()
    discover(store, tmp_path / "out", **SMALL, resume=True)  # done: nothing to do
    fewer = SMALL | {"recipe": replace(RECIPE, words=2)}
    with pytest.raises(SelfscanError, match=r"other arguments: recipe\.words 2 where it was 3"):
        discover(store, tmp_path / "out", **fewer, resume=True)


@pytest.mark.slow
def test_a_trained_autoencoder_gives_the_same_words(store: Path, out: Path, tmp_path: Path) -> None:
    discover(store, tmp_path / "out", **SMALL, embedder=out / "embedder")
    assert not (tmp_path / "out" / "embedder").exists()
    assert Words.read(tmp_path / "out") == Words.read(out)


@pytest.mark.slow
def test_words_whose_members_differ_are_dropped(store: Path, out: Path, tmp_path: Path) -> None:
    alike = pd.read_csv(out / "words.csv")["correlation"]
    least = float(alike.sort_values().iloc[:2].mean())
    recipe = replace(RECIPE, least_correlation=least)
    options = SMALL | {"recipe": recipe, "embedder": out / "embedder"}
    discover(store, tmp_path / "out", **options)
    kept, before = Words.read(tmp_path / "out"), Words.read(out)
    assert len(kept) == 2
    stays = [number for number in range(3) if alike[number] >= least]
    assert kept.header.origins == tuple(before.header.origins[number] for number in stays)
    for label, number in enumerate(stays):
        relabelled = [replace(m, word=label) for m in before.members if m.word == number]
        assert [m for m in kept.members if m.word == label] == relabelled
    page = (tmp_path / "out" / "words.html").read_text("utf-8")
    assert "2 words, 1 dropped" in page
    options["recipe"] = replace(RECIPE, least_correlation=1.0)
    with pytest.raises(SelfscanError, match="found no word whose members correlate by 1 or more"):
        discover(store, tmp_path / "none", **options)


def test_what_cannot_be_filled_is_refused_before_anything_is_written(
    store: Path, tmp_path: Path
) -> None:
    many = SMALL | {"recipe": replace(RECIPE, members=50)}
    with pytest.raises(SelfscanError, match="found 10 patients for the 50 members of a word"):
        discover(store, tmp_path / "out", **many)
    several = SMALL | {"engine": EngineConfig(accelerator="cpu", devices=2)}
    with pytest.raises(ValueError, match="devices and nodes must be 1"):
        discover(store, tmp_path / "out", **several)
    assert not (tmp_path / "out").exists()


def _stop(*arguments: object, **options: object) -> NoReturn:
    raise KeyboardInterrupt

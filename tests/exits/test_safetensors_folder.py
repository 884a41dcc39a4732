"""Safetensors and the model card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file
from small_models import write_model

from selfscan.checkpoints.checkpoint import load
from selfscan.exits.card import model_card
from selfscan.exits.export import export
from selfscan.exits.leaving import leaving


def test_the_file_is_a_checkpoint_and_plain_safetensors(tmp_path: Path) -> None:
    run = write_model(tmp_path / "run")
    out = export(run, tmp_path / "out", to="safetensors")
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "model.json",
        "model.safetensors",
    ]
    ours, plain = load(run), load_file(out / "model.safetensors")
    assert load(out / "model.safetensors").to_json() == ours.to_json()
    assert plain.keys() == ours.weights.keys()
    assert all(torch.equal(plain[name], ours.weights[name]) for name in plain)


def test_the_card_says_where_weights_come_from_and_what_they_are_for(tmp_path: Path) -> None:
    card = model_card(leaving(write_model(tmp_path / "run", spacing=(1, 1, 2.5))), usage="Do so.")
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "selfscan",
        "license": "other",
        "license_name": "see-below",
        "pipeline_tag": "image-segmentation",
        "tags": ["medical-imaging", "3d", "unet3d", "pretraining-models-genesis"],
    }
    for said in (
        "Do so.",
        "at 1 x 1 x 2.5 mm along (X, Y, Z)",
        "-100 to 300 HU become 0 to 1, clipped",
        "crops of 16 x 24 x 8 voxels",
        "0 background, 1 liver, 2 tumor",
        "Zhou et al., Models Genesis",
        "7 scans, 20 optimizer steps; digest of the data `abcdef`",
        "Ask before any use.",
        "| validation/dice | 0.625 |",
    ):
        assert said in body
    assert "0.3" not in body.partition("Results")[2]
    assert "train/loss" not in body


def test_the_card_says_what_is_not_known(tmp_path: Path) -> None:
    run = write_model(tmp_path / "run", segmentation=False)
    (run / "metrics.csv").unlink()
    model = leaving(run)
    bare = replace(
        model.checkpoint, method=None, license_note="", store_digest="", origin="a.pt, sha256 12"
    )
    card = model_card(replace(model, checkpoint=bare), usage="")
    for said in ("image-feature-extraction", "Method of pre-training: none", "`unknown`"):
        assert said in card
    for said in ("Began as the file a.pt, sha256 12", "No note. Whoever", "None on record."):
        assert said in card


def test_the_card_of_a_classifier_names_its_classes(tmp_path: Path) -> None:
    model = leaving(write_model(tmp_path / "run", segmentation=False))
    names = {0: "ill", 1: "well"}
    classifier = replace(model.checkpoint, task="classification", label_names=names)
    card = model_card(replace(model, checkpoint=classifier), usage="")
    assert "pipeline_tag: image-classification" in card
    assert "* Classes of scans: 0 ill, 1 well" in card

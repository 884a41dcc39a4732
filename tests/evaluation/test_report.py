from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from page_parser import Page
from planted import planted_scores, write_finished

from selfscan.evaluation.evidence import gather
from selfscan.evaluation.figures import pretraining_curves
from selfscan.evaluation.report import _named_quantities, render, write_report


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_finished(tmp_path_factory.mktemp("finished"), planted_scores(lift=0.04))


@pytest.fixture(scope="module")
def page(finished: Path) -> str:
    return write_report(finished).read_text(encoding="utf-8")


def test_the_page_is_whole_and_fetches_nothing(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    assert all(address.startswith("data:image/png;base64,") for address in parsed.fetched)
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    assert len(page) < 3e6


def test_each_figure_says_what_it_shows(page: str) -> None:
    images = Page(page).images
    # Labels, paired cases, examples, embeddings, pre-training, fine-tuning, three overlays.
    assert len(images) == 9
    assert all(len(str(image["alt"])) > 30 for image in images)


def test_the_verdict_comes_first_and_quotes_the_interval(page: str) -> None:
    assert page.index("Pre-training helped.") < page.index("The result")
    assert re.search(r"95% interval \+0\.0\d\d to \+0\.0\d\d", page)
    assert "25 test cases, 3 runs each" in page


def test_the_tables_hold_each_arm_and_structure(page: str) -> None:
    for text in (
        "anterior", "posterior", "NSD at 2 mm", "0 of 75", "Read with care", "Labels saved",
        "Scratch needs",
    ):  # fmt: skip
        assert text in page


def test_how_it_was_done_can_be_repeated(page: str) -> None:
    for text in (
        "UNet3D (width 16", "seeds 0, 1, 2", "the smaller subsets are the first 4, 8",
        "300 steps of 2 crops of 40 × 56 × 40 voxels", "chosen for each arm by the Dice",
        "looked at every 50 steps", "0123456789abcdef", "axes RAS+, 1 × 1 × 1.2 mm",
        "selfscan compare store comparison", "torch 2.13.0", "2 January 2026",
    ):  # fmt: skip
        assert text in page


def test_the_curve_of_a_probe_is_shown_and_its_labels_are_owned_up_to(
    page: str, finished: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished, tmp_path / "probed")
    metrics = folder / "arms" / "models-genesis" / "metrics.csv"
    with metrics.open("a") as file:
        file.writelines(f"{step},validation/probe_dice,{step / 2000}\n" for step in (100, 500, 900))
    probed = render(gather(folder))
    for text in (
        "Probe Dice is that of a linear",
        "chosen by a probe on labelled scans",
    ):
        assert text in probed
        assert text not in page
    curves = {arm.arm: _named_quantities(arm.curves) for arm in gather(folder).pretraining}
    drawn = pretraining_curves(curves)
    assert drawn is not None
    assert [axes.get_ylabel() for axes in drawn.axes][-1] == "probe Dice"
    assert drawn.axes[-1].lines[0].get_ydata() == pytest.approx([0.05, 0.25, 0.45])


def test_foreign_text_is_escaped(page: str) -> None:
    assert "&lt;ask&gt; before commercial use" in page


def test_what_pretraining_did_not_leave_is_left_out(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "sparse")
    shutil.rmtree(folder / "arms")
    shutil.rmtree(folder / "pictures")
    for metrics in folder.glob("cells/**/metrics.csv"):
        metrics.unlink()
    sparse = render(gather(folder))
    assert "What pre-training did" not in sparse
    assert "Best, median and worst case" not in sparse
    assert len(Page(sparse).images) == 2


def test_without_a_baseline_there_is_no_verdict(tmp_path: Path) -> None:
    cases = planted_scores(lift=0.0, arms=("models-genesis",), labels=(4,), cases=5)
    text = render(gather(write_finished(tmp_path / "alone", cases)))
    assert "cannot say whether pre-training helped" in text
    assert "Difference to" not in text
    assert Page(text).open == []


def test_several_arms_have_a_verdict_each(tmp_path: Path) -> None:
    cases = planted_scores(lift=0.04, arms=("scratch", "one", "two"), labels=(4, 8), cases=20)
    text = render(gather(write_finished(tmp_path / "several", cases)))
    assert "one: Pre-training helped." in text
    assert "two: Pre-training helped." in text


def test_frozen_features_and_longer_training_have_their_say(tmp_path: Path) -> None:
    tuned = planted_scores(
        lift=0.04, arms=("scratch", "models-genesis", "scratch-long"), labels=(4, 8), cases=12
    )
    frozen = planted_scores(
        lift=0.2, arms=("random", "models-genesis"), labels=(4, 8), cases=12, protocol="linear"
    )
    text = render(gather(write_finished(tmp_path / "both", pd.concat([frozen, tuned]))))
    for said in (
        "Pre-training helped.",
        "fine-tuning together: No evidence that pre-training helped.",
        "Linear probe of frozen features.",
        "Pre-trained features know more than random ones.",
        "above random",
    ):
        assert said in text
    assert text.index("above scratch") < text.index("above random")
    assert Page(text).open == []

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfscan.evaluation.pictures import Overlay, draw_examples, draw_overlay


def an_overlay(shape: tuple[int, int, int] = (60, 50, 40)) -> Overlay:
    """A box of label 1 in the corner that is right, anterior and superior."""
    truth = np.zeros(shape, np.uint8)
    truth[50:55, 40:45, 30:35] = 1
    image = np.zeros(shape, np.float32)
    image[truth > 0] = 1.0
    return Overlay.cut(
        image,
        truth,
        {"one": truth, "scratch": np.zeros_like(truth)},
        case="case_1",
        role="best",
        spacing=(2.0, 2.0, 4.0),
        dice={"one": 1.0, "scratch": 0.0},
    )


def test_slices_run_through_the_foreground_and_keep_its_surroundings() -> None:
    found = an_overlay()
    axial, coronal, sagittal = found.truth
    # 35 mm are 18 voxels of 2 mm and 9 of 4 mm, cut off at the faces of the volume.
    assert axial.shape == (60 - 32, 50 - 22)
    assert coronal.shape == (60 - 32, 40 - 21)
    assert sagittal.shape == (50 - 22, 40 - 21)
    assert axial.sum() == coronal.sum() == sagittal.sum() == 25


def test_a_case_without_foreground_is_shown_whole() -> None:
    empty = np.zeros((8, 9, 10), np.uint8)
    found = Overlay.cut(
        empty.astype(np.float32), empty, {"one": empty}, case="c", role="best",
        spacing=(1.0, 1.0, 1.0), dice={"one": float("nan")},
    )  # fmt: skip
    assert found.images[0].shape == (8, 9)


def test_an_overlay_comes_back_from_its_file(tmp_path: Path) -> None:
    overlay = an_overlay()
    overlay.save(tmp_path / "best.npz")
    found = Overlay.load(tmp_path / "best.npz")
    assert (found.case, found.role, found.spacing) == ("case_1", "best", (2.0, 2.0, 4.0))
    assert found.dice == overlay.dice
    for ours, theirs in zip(found.predictions["one"], overlay.predictions["one"], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_overlay_has_a_row_an_arm_and_a_column_a_plane() -> None:
    canvas = draw_overlay(an_overlay())
    assert len(canvas.axes) == 6
    titles = [axes.get_title(loc="left") for axes in canvas.axes]
    assert titles[0] == "one: mean Dice 1.000"
    assert titles[3] == "scratch: mean Dice 0.000"


def test_the_patients_right_is_drawn_on_the_left_and_the_head_on_top() -> None:
    for axes in draw_overlay(an_overlay()).axes[:3]:
        # Rows run from the bottom to the top of the picture.
        picture = np.asarray(axes.images[0].get_array())
        rows, columns = np.nonzero(picture)
        assert columns.mean() < picture.shape[1] / 2
        assert rows.mean() > picture.shape[0] / 2


def test_all_planes_have_one_scale() -> None:
    spans = [axes.get_xlim()[1] for axes in draw_overlay(an_overlay()).axes[:3]]
    assert spans == pytest.approx([56.0, 56.0, 56.0])


def test_examples_have_a_column_a_view_for_each_example() -> None:
    volume = np.random.default_rng(0).random((4, 1, 16, 16, 8)).astype(np.float16)
    canvas = draw_examples({"input": volume, "target": volume}, examples=2)
    assert len(canvas.axes) == 2 * 2 * 3
    assert len(draw_examples({"input": volume[:1]}).axes) == 3

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planted import planted_colors

from selfscan.evaluation.embedding_picture import (
    draw_colored,
    embedding_plot,
    load_colored,
    save_colored,
)


def test_the_slices_come_back_from_their_file(tmp_path: Path) -> None:
    scans = planted_colors()
    save_colored(scans, tmp_path / "embeddings.npz")
    found = load_colored(tmp_path / "embeddings.npz")
    assert [(scan.case, scan.spacing) for scan in found] == [
        (scan.case, scan.spacing) for scan in scans
    ]
    for ours, theirs in zip(found, scans, strict=True):
        for image, expected in zip(
            (*ours.images, *ours.colors), (*theirs.images, *theirs.colors), strict=True
        ):
            np.testing.assert_allclose(image, expected, atol=0.5 / 255)


def test_a_column_a_patient_with_colors_below_each_slice() -> None:
    scans = planted_colors()
    canvas = draw_colored(scans)
    assert len(canvas.axes) == 6 * len(scans)
    pictures = [axes.images[0].get_array() for axes in canvas.axes]
    rows = [pictures[i : i + len(scans)] for i in range(0, len(pictures), len(scans))]
    assert [row[0].ndim for row in rows] == [2, 3, 2, 3, 2, 3]
    # What is right and on top in the patient is left and on top in the picture.
    assert rows[1][0].shape[:2] == scans[0].colors[0].shape[:2][::-1]
    np.testing.assert_allclose(rows[1][0][0, 0], scans[0].colors[0][-1, 0])
    assert [axes.get_title() for axes in canvas.axes[: len(scans)]] == [s.case for s in scans]


@pytest.mark.parametrize("count", [1, 2])
def test_panels_share_one_scale_and_fit_the_page(count: int) -> None:
    canvas = draw_colored(planted_colors()[:count])
    assert canvas.get_figwidth() <= 9.2
    assert canvas.get_figheight() <= 13
    scales = set()
    for axes in canvas.axes:
        axes.apply_aspect()
        box, (left, right) = axes.get_position(), axes.get_xlim()
        scales.add(round(box.width * canvas.get_figwidth() / (right - left), 5))
    assert len(scales) == 1


def test_the_caption_says_whose_embeddings_and_what_to_look_for() -> None:
    found = embedding_plot(planted_colors(), "genesis, not fine-tuned")
    assert found.caption.startswith("Embeddings of genesis, not fine-tuned.")
    assert "same anatomy should have the same color" in found.caption
    assert "patient_0" in found.alt

"""A fitted probe: the prior it puts back is the one that serves Dice, and it moves the borders."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from labelled_store import write_store
from test_frozen import frozen

from selfscan.metrics import dice_scores
from selfscan.scans.store import Store
from selfscan.training.fitted_probe import fit_probe
from selfscan.training.prior import prior_correction
from selfscan.training.voxel_head import fit_linear
from selfscan.training.voxel_sample import draw_voxels


def test_a_probe_segments_by_head_and_prior(tmp_path) -> None:
    store = Store(write_store(tmp_path / "store"))
    train, judged = (store.select(splits=[split]) for split in ("train", "validation"))
    draw = draw_voxels(train, per_class=200, background=200, seed=0, visible=False)
    backbone = frozen((24, 20, 16))
    fit = partial(fit_linear, pyramid=backbone.pyramid, count=3, penalty=1.0, iterations=500)
    fitted = fit_probe(backbone, train, draw, fit, judged=judged, visible=False)
    found = fitted.segment(judged, 0)
    assert dice_scores(found, judged.read_labels(0), classes=3).mean() == pytest.approx(fitted.dice)
    assert fitted.dice > 0.9
    correction = prior_correction(draw.prior, draw.share)
    np.testing.assert_allclose(fitted.shift, fitted.exponent * correction, rtol=1e-6)
    logits = backbone.logits(fitted.head, judged, 0)
    expected = (logits + fitted.shift[:, None, None, None]).argmax(0)
    np.testing.assert_array_equal(found, expected)

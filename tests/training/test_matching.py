"""Whole scans aligned by a network: the map is the method's own, and crops lie where they lay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from geometries import FLIPPED, OBLIQUE
from gvsl_run import RANDOM, SMALL, write_run
from labelled_store import example_scan, write_store
from lightning_fabric import Fabric

from selfscan.checkpoints.checkpoint import load, save
from selfscan.errors import SelfscanError
from selfscan.losses.local_ncc import local_ncc
from selfscan.methods.gvsl import GVSLConfig
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.scan import Scan
from selfscan.scans.store import Store
from selfscan.training.matching import Matched, WholeScan, load_matching, match_scans
from selfscan.training.moving import Grid, move_onto

FABRIC = Fabric(accelerator="cpu", precision="32-true")


def smooth_scan(seed: int, shape: tuple[int, int, int], affine: np.ndarray) -> WholeScan:
    """Waves in a body that air surrounds."""
    random = np.random.default_rng(seed)
    waves = sum(
        np.cos(random.uniform(0.2, 0.6) * axis + random.uniform(0, 6)) for axis in np.indices(shape)
    )
    volume = np.full(shape, -1000)
    volume[3:-2, 2:-3, 1:-1] = (300 * waves)[3:-2, 2:-3, 1:-1]
    scan = Scan(volume.astype(np.int16)[None], affine, modality=("ct",))
    return WholeScan.of(PreprocessingContract().apply(scan))


def matched(tmp_path: Path, config: GVSLConfig) -> Matched:
    method, _ = load_matching(write_run(tmp_path / "run", config))
    moving = smooth_scan(0, (37, 20, 22), FLIPPED)
    return match_scans(method, moving, smooth_scan(1, (30, 26, 16), OBLIQUE), fabric=FABRIC)


@pytest.mark.parametrize("place", ["center", "whole"])
@pytest.mark.parametrize("within", ["scan", "body"])
@pytest.mark.parametrize("consistent", [True, False])
def test_the_map_reads_what_the_method_reads(
    tmp_path: Path, place, within, consistent: bool
) -> None:
    config = replace(RANDOM, place=place, within=within, consistent_sampling=consistent)
    found = matched(tmp_path, config)
    method, _ = load_matching(tmp_path / "run")
    moving, fixed = (torch.from_numpy(volume)[None] for volume in (found.moving, found.fixed))
    with torch.no_grad():
        match, _ = method.match(moving, fixed)
        expected = method.move(moving, match)[0].numpy()
    assert match.displacements.abs().max() > 0.1
    registration = found.registration
    grid = Grid(config.crop_size, registration.fixed)
    moved = move_onto(grid, found.moving, registration.moving, registration, outside=[-1])
    # At the faces the method fades to 0; what reads them does not count here.
    inner = np.zeros((1, *config.crop_size))
    inner[:, 1:-1, 1:-1, 1:-1] = 1
    inside = move_onto(grid, inner, registration.moving, registration, outside=[0]) == 1
    assert inside.mean() > 0.4
    np.testing.assert_allclose(moved[inside], expected[inside], atol=2e-4)


@pytest.mark.parametrize("place", ["center", "shared", "whole"])
def test_each_crop_lies_on_the_voxels_of_its_scan(tmp_path: Path, place) -> None:
    fixed = smooth_scan(1, (30, 26, 16), OBLIQUE)
    found = matched(tmp_path, replace(SMALL, place=place))
    voxels = np.linalg.inv(fixed.affine) @ found.registration.fixed
    if place == "whole":
        assert np.diagonal(voxels) == pytest.approx([30 / 32, 26 / 16, 1, 1])
        ends = voxels @ [[-0.5, 31.5], [-0.5, 15.5], [-0.5, 15.5], [1, 1]]
        np.testing.assert_allclose(ends[:3], [[-0.5, 29.5], [-0.5, 25.5], [-0.5, 15.5]])
    else:
        np.testing.assert_allclose(voxels[:3, :3], np.eye(3), atol=1e-12)
        np.testing.assert_allclose(voxels[:3, 3], [-1, 5, 0], atol=1e-12)
        units = (fixed.volume[:, :, 5:21].astype(float) + 1024) / 2048
        np.testing.assert_allclose(found.fixed[:, 1:31], units.clip(0, 1), atol=1e-6)
        assert not found.fixed[:, [0, 31]].any()


def test_correlation_is_that_of_the_crops_moved(tmp_path: Path) -> None:
    found = matched(tmp_path, RANDOM)
    identity = found.registration.identity()
    volumes = (torch.from_numpy(volume)[None] for volume in (found.moving, found.fixed))
    expected = 1 - local_ncc(*volumes, border="full").item()
    assert found.correlation(identity) == pytest.approx(expected, abs=1e-6)
    itself = Matched(found.fixed, found.fixed, replace(identity, moving=identity.fixed))
    assert itself.correlation(itself.registration) > 0.99


def test_an_untrained_network_starts_at_the_identity(tmp_path: Path) -> None:
    registration = matched(tmp_path, SMALL).registration
    np.testing.assert_allclose(registration.matrix, np.eye(4), atol=1e-6)
    assert not registration.displacements.any()


def test_a_scan_of_a_store_is_that_of_its_file(tmp_path: Path) -> None:
    found = WholeScan.stored(Store(write_store(tmp_path)), 1)
    scan = Scan(example_scan(1)[0][None], np.eye(4), modality=("ct",))
    expected = WholeScan.of(PreprocessingContract().apply(scan))
    np.testing.assert_array_equal(found.volume, expected.volume)
    np.testing.assert_array_equal(found.affine, expected.affine)
    assert (found.body, found.hounsfield) == (expected.body, expected.hounsfield)


def test_what_does_not_align_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run") / "best.safetensors"
    genesis = replace(load(path), method=ModelsGenesisConfig())
    save(genesis, tmp_path / "genesis.safetensors")
    with pytest.raises(SelfscanError, match="of pretraining with models-genesis; expected one of"):
        load_matching(tmp_path / "genesis.safetensors")
    save(replace(load(path), task="segmentation"), tmp_path / "model.safetensors")
    with pytest.raises(SelfscanError, match="of segmentation with gvsl; expected one of"):
        load_matching(tmp_path / "model.safetensors")
    weights = {n: w for n, w in load(path).weights.items() if not n.startswith("matching.")}
    save(replace(load(path), weights=weights), tmp_path / "headless.safetensors")
    with pytest.raises(SelfscanError, match="of the parameters of all in the checkpoint"):
        load_matching(tmp_path / "headless.safetensors")

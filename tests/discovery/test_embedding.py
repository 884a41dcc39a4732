"""One vector a scan: of the bottleneck, kept on disk, and heard of by no other scan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from patients_store import write_store

from selfscan.checkpoints.checkpoint import Checkpoint, load, save
from selfscan.discovery.embedding import Embedder
from selfscan.errors import ContractError, SelfscanError
from selfscan.methods.autoencoder import AutoencoderConfig
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.crops.reading import read_volume
from selfscan.scans.store import Store

CONFIG = AutoencoderConfig(crop_size=(16, 16, 8))
NETWORK = replace(CONFIG.default_backbone, width=2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_store(tmp_path_factory.mktemp("store"), scans=4)


def write_run(folder: Path, *, spacing: tuple[float, float, float] | None = None) -> Path:
    torch.manual_seed(0)
    checkpoint = Checkpoint(
        weights=CONFIG.build(NETWORK.build(1)).state_dict(),
        backbone=NETWORK,
        in_channels=1,
        task="pretraining",
        contract=PreprocessingContract(spacing=spacing),
        window_hu=CONFIG.window_hu,
        crop_size=CONFIG.crop_size,
        method=CONFIG,
    )
    folder.mkdir(parents=True, exist_ok=True)
    save(checkpoint, folder / "best.safetensors")
    return folder


def embed(embedder: Embedder, store: Store, folder: Path) -> torch.Tensor:
    return embedder.embed(store, folder, fabric=Fabric(accelerator="cpu", devices=1), workers=0)


def test_a_vector_is_the_mean_of_the_bottleneck_of_the_whole_scan(
    store: Store, tmp_path: Path
) -> None:
    embedder = Embedder(write_run(tmp_path / "run"), store)
    vectors = embed(embedder, store, tmp_path / "kept")
    assert vectors.shape == (4, 32)
    stored = read_volume(store, embedder.model.crops.of(store, 2))
    unit = ((torch.from_numpy(stored).float() + 1000) / 2000).clamp(0, 1)
    with torch.no_grad():
        expected = embedder.model.backbone.encode(unit[None])[-1].mean(dim=(2, 3, 4))[0]
    assert torch.equal(vectors[2], expected)
    assert vectors.std(dim=0).norm() > 0


def test_vectors_are_kept_and_those_of_other_weights_or_scans_are_not_taken(
    store: Store, tmp_path: Path
) -> None:
    embedder = Embedder(write_run(tmp_path / "run"), store)
    kept = tmp_path / "kept"
    first = embed(embedder, store, kept)
    (file,) = kept.iterdir()
    before = file.stat().st_mtime_ns
    assert torch.equal(embed(embedder, store, kept), first)
    assert file.stat().st_mtime_ns == before
    part = embed(embedder, store.select(ids=store.ids[1:3]), kept)
    assert torch.equal(part, first[1:3])
    run = load(tmp_path / "run")
    halved = {name: weight / 2 for name, weight in run.weights.items()}
    save(replace(run, weights=halved), tmp_path / "other.safetensors")
    other = Embedder(tmp_path / "other.safetensors", store)
    assert other.digest != embedder.digest
    assert not torch.equal(embed(other, store, kept), first)
    assert len(list(kept.iterdir())) == 3


def test_another_checkpoint_or_store_is_refused(store: Store, tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run"))
    save(replace(run, method=ModelsGenesisConfig()), tmp_path / "other.safetensors")
    with pytest.raises(SelfscanError, match="found a checkpoint of models-genesis; expected one"):
        Embedder(tmp_path / "other.safetensors", store)
    with pytest.raises(ContractError, match="found another preprocessing: spacing None"):
        Embedder(write_run(tmp_path / "spaced", spacing=(2.0, 2.0, 2.0)), store)

"""One vector a scan, by the bottleneck of an auto-encoder; what was computed is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from selfscan.checkpoints.checkpoint import Checkpoint, load
from selfscan.checkpoints.loading import load_weights
from selfscan.errors import SelfscanError
from selfscan.files import written_atomically
from selfscan.methods.autoencoder import Autoencoder, AutoencoderConfig
from selfscan.progress import Progress
from selfscan.scans.crops import WholeScans
from selfscan.scans.crops.reading import read_volume
from selfscan.scans.store import Store
from selfscan.training.start import require_fit
from selfscan.transforms.intensity import to_unit

_SCANS = 256  # of a file; an interrupted run computes one file again at most
Loaded = tuple[npt.NDArray[np.int16], tuple[bool, ...]]


class Embedder:
    """An auto-encoder in evaluation mode.

    Args:
        path: Its run folder or checkpoint file.
        store: What it will be used on.

    Raises:
        SelfscanError: The checkpoint is not one of an auto-encoder.
        ContractError: The store was prepared otherwise than what it was trained on.
    """

    def __init__(self, path: Path, store: Store) -> None:
        checkpoint = load(path)
        config = checkpoint.method
        if not isinstance(config, AutoencoderConfig):
            raise SelfscanError(
                f"{path}: found a checkpoint of {config.name if config else 'no method'}; expected "
                "one of autoencoder to describe scans by; leave --embedder out, or train one with "
                "`selfscan pretrain --method autoencoder`"
            )
        require_fit(checkpoint, store, path=path)
        self.model: Autoencoder = config.build(checkpoint.backbone.build(checkpoint.in_channels))
        load_weights(self.model, checkpoint.weights)
        self.model.eval()
        self.checkpoint = checkpoint
        self.digest = _digest_of(checkpoint)

    def embed(self, store: Store, folder: Path, *, fabric: Fabric, workers: int) -> Tensor:
        """The embeddings of all scans of a store, (N, F), float32, in main memory.

        They are computed in float32, scan by scan, so that none depends on another, on the
        precision of training or on how often the run was stopped.

        Args:
            store: The scans.
            folder: Where files of them are kept, named by what they were computed from.
            fabric: The device.
            workers: Processes that read scans ahead.

        Raises:
            ScanError: A volume is missing or damaged.
        """
        self.model.to(fabric.device)
        parts = []
        with Progress("embed", total=len(store), unit="scans") as progress:
            for start in range(0, len(store), _SCANS):
                some = store.select(ids=store.ids[start : start + _SCANS])
                file = folder / f"{_key(self.digest, some)}.npy"
                if not file.exists():
                    vectors = list(self._vectors(some, fabric.device, workers))
                    with written_atomically(file) as temporary:
                        np.save(temporary, np.stack(vectors))
                parts.append(torch.from_numpy(np.load(file, allow_pickle=False)))
                progress.advance(len(some))
        return torch.cat(parts)

    @torch.no_grad()
    def _vectors(
        self, store: Store, device: torch.device, workers: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        crops = WholeScans(self.model.config.crop_size, self.model.config.within)
        for volume, hounsfield in DataLoader(
            _WholeScanDataset(store, crops), batch_size=None, num_workers=workers
        ):
            stored = torch.as_tensor(volume).to(device)[None]
            channels = torch.as_tensor(hounsfield, device=device)[None]
            scan = to_unit(stored, channels, window_hu=self.model.config.window_hu)
            yield self.model.embed(scan)[0].cpu().numpy()


class _WholeScanDataset(Dataset[Loaded]):
    def __init__(self, store: Store, crops: WholeScans) -> None:
        self._store, self._crops = store, crops

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, i: int) -> Loaded:
        if not 0 <= i < len(self):
            raise IndexError(f"scan {i} of {len(self)}")
        crop = self._crops.of(self._store, i)
        return read_volume(self._store, crop), self._store[i].hounsfield


def _digest_of(checkpoint: Checkpoint) -> str:
    """SHA-256 of the weights."""
    digest = hashlib.sha256()
    for name, weight in sorted(checkpoint.weights.items()):
        digest.update(name.encode())
        digest.update(weight.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _key(digest: str, store: Store) -> str:
    return hashlib.sha256(f"{digest} {store.digest()}".encode()).hexdigest()[:24]

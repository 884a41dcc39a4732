"""Batch norm of several processes: outputs, gradients and running statistics of one process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn

from selfscan.networks.synchronized_norm import SynchronizedBatchNorm, synchronize_norms

COUNTS = (3, 2)
CPU = torch.device("cpu")


def network(*, track: bool) -> nn.Sequential:
    torch.manual_seed(6)
    inner = nn.Sequential(nn.BatchNorm3d(4, track_running_stats=track), nn.ReLU())
    return nn.Sequential(nn.Conv3d(2, 4, 1), inner, nn.BatchNorm3d(4, affine=False)).double()


def samples() -> Tensor:
    random = torch.Generator().manual_seed(4)
    return 5 + torch.randn(sum(COUNTS), 2, 3, 3, 3, generator=random, dtype=torch.float64)


def step(layers: nn.Sequential, volumes: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs, and the gradient of the first weight for a sum over samples."""
    outputs = layers(volumes)
    torch.autograd.backward((outputs**3).sum())
    gradient = layers[0].weight.grad
    assert gradient is not None
    return outputs.detach(), gradient


def one_of_two(rank: int, folder: str, track: bool) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    torch.set_num_threads(1)
    layers = network(track=track)
    synchronize_norms(layers, device=CPU)
    outputs, gradient = step(layers, samples().split(COUNTS)[rank])
    distributed.all_reduce(gradient)
    torch.save((outputs, gradient, layers.state_dict()), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("track", [True, False])
def test_two_processes_equal_one_with_the_joined_batch(tmp_path: Path, track: bool) -> None:
    multiprocessing.spawn(one_of_two, args=(str(tmp_path), track), nprocs=2)
    layers = network(track=track)
    outputs, gradient = step(layers, samples())
    for rank in range(2):
        own, joined, state = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(own, outputs.split(COUNTS)[rank])
        torch.testing.assert_close(joined, gradient)
        torch.testing.assert_close(state, dict(layers.state_dict()))


def test_weights_keep_their_names_and_evaluation_stays_as_it_was() -> None:
    layers = network(track=True)
    step(layers, samples())
    before, parameters = layers.state_dict(), list(layers.parameters())
    expected = layers.eval()(samples())
    synchronize_norms(layers, device=CPU)
    assert all(isinstance(layer, SynchronizedBatchNorm) for layer in (layers[1][0], layers[2]))
    assert layers.state_dict().keys() == before.keys()
    assert all(one is other for one, other in zip(layers.parameters(), parameters, strict=True))
    assert torch.equal(layers(samples()), expected)


def test_a_gpu_gets_the_layer_of_pytorch() -> None:
    layers = network(track=True)
    synchronize_norms(layers, device=torch.device("cuda"))
    assert isinstance(layers[1][0], nn.SyncBatchNorm)
    assert isinstance(layers[2], nn.SyncBatchNorm)

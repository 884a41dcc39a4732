"""Batch norm by the statistics of the batches of all processes, on a CPU too."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


def synchronize_norms(module: nn.Module, *, device: torch.device) -> None:
    """Have the batch norms inside a module normalize the batches of all processes as one.

    Names and values of weights stay as they are, so that checkpoints do. In evaluation each process
    goes on by itself. On a CUDA device PyTorch's own `SyncBatchNorm` does it, which refuses others.

    Args:
        module: Its children are replaced in place.
        device: Where it will run.
    """
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, SynchronizedBatchNorm(child))
        else:
            synchronize_norms(child, device=device)


class SynchronizedBatchNorm(_BatchNorm):
    """In training, a batch norm of all processes' batches; they may differ in length.

    The statistics are differentiable: after DDP has averaged the gradients of weights, they are
    those of one process with all samples, where the loss is the mean of the processes'.

    Args:
        norm: The batch norm whose place it takes; weights and running statistics are shared.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.training = norm.training

    def forward(self, features: Tensor) -> Tensor:
        """Normalize features (B, F, ...); under autocast too in float32 or more."""
        if not self.training:
            return super().forward(features)
        with torch.autocast(features.device.type, enabled=False):
            wide = features.to(torch.promote_types(features.dtype, torch.float32))
            others = [axis for axis in range(wide.ndim) if axis != 1]
            shape = [-1 if axis == 1 else 1 for axis in range(wide.ndim)]
            own = wide.new_tensor([wide.numel() // wide.shape[1]])
            total = _over_processes(torch.cat([wide.sum(others), own]))
            count = total[-1].detach()
            mean = total[:-1] / count
            centered = wide - mean.view(shape)
            variance = _over_processes(centered.square().sum(others)) / count
            self._follow(mean.detach(), variance.detach() * count / (count - 1))
            scale = (variance + self.eps).rsqrt()
            if self.affine:
                scale = scale * self.weight
            normalized = centered * scale.view(shape)
            if self.affine:
                normalized = normalized + self.bias.view(shape)
            return normalized.to(features.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, where they are kept."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        weight = self.momentum or 1 / int(self.num_batches_tracked)
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance, weight)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected features (B, F, ...), got shape {tuple(input.shape)}")


def _over_processes(own: Tensor) -> Tensor:
    total: Tensor = all_reduce(own)  # type: ignore[no-untyped-call]
    return total

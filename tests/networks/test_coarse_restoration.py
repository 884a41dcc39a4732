"""The head that restores from the coarsest map: published sizes, other strides, refusals."""

from __future__ import annotations

import pytest
import torch

from selfscan.networks.coarse_restoration import CoarseRestorationHead

FORMS = {"vae": 10_638_385, "deconv": 3_134_545, "large-kernel-deconv": 25_165_825}


@pytest.mark.parametrize("up_sampling", list(FORMS))
def test_published_sizes(up_sampling: str) -> None:
    with torch.device("meta"):
        head = CoarseRestorationHead(768, (32, 32, 32), up_sampling=up_sampling)
    assert sum(p.numel() for p in head.parameters()) == FORMS[up_sampling]


@pytest.mark.parametrize("up_sampling", list(FORMS))
@pytest.mark.parametrize("stride", [(8, 8, 8), (16, 16, 4), (8, 4, 1)])
def test_any_stride_rises_to_full_resolution(up_sampling: str, stride) -> None:
    head = CoarseRestorationHead(6, stride, up_sampling=up_sampling, channels=2)
    restored = head(torch.rand(1, 6, 2, 3, 2))
    assert restored.shape == (1, 2, 2 * stride[0], 3 * stride[1], 2 * stride[2])


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match=r"up_sampling must be one of vae, deconv, .*, got 'unet'"):
        CoarseRestorationHead(8, (8, 8, 8), up_sampling="unet")  # type: ignore[arg-type]
    for stride in ((1, 1, 1), (6, 8, 8)):
        with pytest.raises(ValueError, match=r"stride must be of powers of 2, .*got \("):
            CoarseRestorationHead(8, stride)

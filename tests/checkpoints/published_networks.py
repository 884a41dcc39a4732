"""Networks whose tensors have the published names and shapes, and compute what was published."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class _GenesisBlock(nn.Module):
    def __init__(self, entry: int, exit: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(entry, exit, 3, padding=1)
        self.bn1 = nn.BatchNorm3d(exit)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        # The statistics of the batch at hand, in evaluation too.
        return torch.relu(
            functional.batch_norm(x, None, None, self.bn1.weight, self.bn1.bias, training=True)
        )


class _GenesisStage(nn.Module):
    def __init__(self, entry: int, middle: int, exit: int, up: int = 0) -> None:
        super().__init__()
        self.ops = nn.Sequential(_GenesisBlock(entry, middle), _GenesisBlock(middle, exit))
        if up:
            self.up_conv = nn.ConvTranspose3d(up, up, 2, stride=2)


class GenesisUNet(nn.Module):
    """The U-Net of Models Genesis; the published width is 32."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        w = width
        self.down_tr64 = _GenesisStage(1, w, 2 * w)
        self.down_tr128 = _GenesisStage(2 * w, 2 * w, 4 * w)
        self.down_tr256 = _GenesisStage(4 * w, 4 * w, 8 * w)
        self.down_tr512 = _GenesisStage(8 * w, 8 * w, 16 * w)
        self.up_tr256 = _GenesisStage(24 * w, 8 * w, 8 * w, up=16 * w)
        self.up_tr128 = _GenesisStage(12 * w, 4 * w, 4 * w, up=8 * w)
        self.up_tr64 = _GenesisStage(6 * w, 2 * w, 2 * w, up=4 * w)
        self.out_tr = nn.Module()
        self.out_tr.final_conv = nn.Conv3d(2 * w, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.down_tr64.ops(x)]
        for stage in (self.down_tr128, self.down_tr256, self.down_tr512):
            skips.append(stage.ops(functional.max_pool3d(skips[-1], 2)))
        x = skips.pop()
        for stage in (self.up_tr256, self.up_tr128, self.up_tr64):
            x = stage.ops(torch.cat((stage.up_conv(x), skips.pop()), dim=1))
        return x


class _V1Block(nn.Module):
    def __init__(self, entry: int, exit: int, stride: tuple[int, int, int] = (1, 1, 1)) -> None:
        super().__init__()
        self.conv = nn.Conv3d(entry, exit, 3, stride=stride, padding=1)
        self.instnorm = nn.InstanceNorm3d(exit, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.instnorm(self.conv(x)), 0.01)


class _V1Stack(nn.Module):
    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class GenericUNet(nn.Module):
    """The U-Net of nnU-Net v1 as Models Genesis trained it; the published base is 32."""

    def __init__(self, base: int = 32) -> None:
        super().__init__()
        widths = [min(base * 2**level, 10 * base) for level in range(6)]
        strides = [(1, 1, 1), *[(2, 2, 2)] * 4, (1, 2, 2)]
        entries = [1, *widths[:-1]]
        levels = list(zip(entries, widths, strides, strict=True))
        self.conv_blocks_context = nn.ModuleList(
            [_V1Stack(_V1Block(i, o, s), _V1Block(o, o)) for i, o, s in levels[:-1]]
        )
        entry, exit, stride = levels[-1]
        self.conv_blocks_context.append(
            nn.Sequential(_V1Stack(_V1Block(entry, exit, stride)), _V1Stack(_V1Block(exit, exit)))
        )
        rising = list(zip(widths[:0:-1], widths[-2::-1], strides[:0:-1], strict=True))
        self.tu = nn.ModuleList(
            [nn.ConvTranspose3d(i, o, s, stride=s, bias=False) for i, o, s in rising]
        )
        self.conv_blocks_localization = nn.ModuleList(
            [
                nn.Sequential(_V1Stack(_V1Block(2 * o, o)), _V1Stack(_V1Block(o, o)))
                for _, o, _ in rising
            ]
        )
        self.seg_outputs = nn.ModuleList([nn.Conv3d(o, 2, 1, bias=False) for _, o, _ in rising])

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for stage in self.conv_blocks_context:
            skips.append(stage(x))
            x = skips[-1]
        skips.pop()
        for up, stage in zip(self.tu, self.conv_blocks_localization, strict=True):
            x = stage(torch.cat((up(x), skips.pop()), dim=1))
        return x


class _Double(nn.Module):
    def __init__(self, entry: int, exit: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (entry, exit):
            layers += [
                nn.Conv3d(channels, exit, 3, padding=1),
                nn.GroupNorm(max(exit // 8, 1), exit),
                nn.LeakyReLU(0.2),
            ]
        self.double_conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class GVSLRelease(nn.Module):
    """The model of GVSL: its U-Net `unet`, and heads without a use here; the width is 32."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.unet = nn.Module()
        self.unet.inc = _Double(1, width)
        for level in range(1, 5):
            down, up = nn.Module(), nn.Module()
            down.maxpool_conv = nn.Sequential(
                nn.MaxPool3d(2), _Double(widths[level - 1], widths[level])
            )
            coarse, fine = widths[5 - level], widths[4 - level]
            up.conv = _Double(coarse + fine, fine)
            self.unet.add_module(f"down{level}", down)
            self.unet.add_module(f"up{level}", up)
        self.f_conv, self.sp_conv = _Double(2 * widths[-1], 256), _Double(2 * width, 16)
        self.res_conv = nn.Sequential(
            nn.Conv3d(width, 16, 3, padding=1),
            nn.GroupNorm(4, 16),
            nn.LeakyReLU(0.2),
            nn.Conv3d(16, 1, 1),
        )
        self.out_flow = nn.Conv3d(16, 3, 3, padding=1)
        self.fc_rot, self.fc_scl = nn.Linear(256, 3), nn.Linear(256, 3)
        self.fc_trans, self.fc_shear = nn.Linear(256, 3), nn.Linear(256, 6)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.unet.inc(x)]
        for level in range(1, 5):
            skips.append(self.unet.get_submodule(f"down{level}").maxpool_conv(skips[-1]))
        x = skips.pop()
        for level in range(1, 5):
            x = functional.interpolate(x, scale_factor=2, mode="trilinear", align_corners=True)
            x = self.unet.get_submodule(f"up{level}").conv(torch.cat((skips.pop(), x), dim=1))
        return x


def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """All weights random, those of norms too, so that no two are alike."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            scale = 1 if weight.ndim < 2 else (weight[0].numel()) ** -0.5
            weight.copy_(torch.randn(weight.shape, generator=random) * scale)
    return network.eval()

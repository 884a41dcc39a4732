"""GVSL: the released forward pass to six digits, the repairs, views that keep pairs together."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from gvsl_reference import fill, parameters, volumes
from torch import Tensor
from torch.nn.functional import mse_loss

from selfscan.losses.local_ncc import local_ncc
from selfscan.losses.mind import mind
from selfscan.losses.smoothness import smoothness
from selfscan.methods import method_config
from selfscan.methods.gvsl import GVSL, GVSLConfig
from selfscan.networks.fpn3d import FPN3DConfig
from selfscan.networks.gvsl_unet import GVSLUNetConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.crops import Batch, Item, collate
from selfscan.scans.crops.examples import Crop, Example
from selfscan.transforms.pose import PoseConfig
from selfscan.transforms.random import KeyedGenerator

SIZE = (32, 16, 16)
SMALL = GVSLConfig(crop_size=SIZE, batch_size=2)
STILL = replace(SMALL, posed=False)


def build(config: GVSLConfig = SMALL, channels: int = 1, width: int = 4) -> GVSL:
    torch.manual_seed(0)
    return config.build(GVSLUNetConfig(width=width).build(channels))


@lru_cache(maxsize=1)
def filled() -> dict[str, Tensor]:
    method = build(replace(GVSLConfig(), crop_size=(32, 32, 32)), width=32)
    fill(method)
    return method.state_dict()


def reference(config: GVSLConfig) -> GVSL:
    method = build(replace(config, crop_size=(32, 32, 32)), width=32)
    method.load_state_dict(filled())
    return method


def batch_of(*examples: int, channels: int = 1) -> Batch:
    """Pairs of smooth crops, the second shifted by two voxels along x."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in (SIZE[0] + 2, *SIZE[1:])), indexing="ij")
    items = []
    for number in examples:
        waves = np.sin(0.5 * x + number) + np.cos(0.7 * y) + np.sin(0.4 * z + 0.3 * x)
        whole = np.stack([300 * (c + 1) * waves for c in range(channels)]).astype(np.int16)
        items.append(
            Item(
                volumes=np.stack([whole[:, :-2], whole[:, 2:]]),
                hounsfield=np.ones((2, channels), dtype=bool),
                number=number,
                example=Example((Crop(0, (0, 0, 0), SIZE), Crop(1, (0, 0, 0), SIZE))),
                labels=None,
            )
        )
    return collate(items)


def views_of(method: GVSL, batch: Batch) -> dict[str, Tensor]:
    return dict(method.views(batch, KeyedGenerator.for_examples(21, batch.examples)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth_height_width", "features", "restored", "displacement", "moved", "losses"),
    [
        (
            (16, 16, 16),
            (0.237224, 0.685566),
            (0.037774, 0.263509),
            (-0.040884, 1.745924),
            (0.239781, 0.294513),
            (0.907669, 0.330039, 2.286288),
        ),
        (
            (20, 18, 24),
            (0.182200, 0.575894),
            (0.035513, 0.192713),
            (-0.124572, 1.411801),
            (0.280076, 0.327716),
            (0.873498, 0.361519, 1.205612),
        ),
        (
            (32, 32, 32),
            (0.194898, 0.699413),
            (0.033724, 0.268266),
            (-0.077119, 1.707807),
            (0.347529, 0.357548),
            (0.907251, 0.412309, 2.110787),
        ),
    ],
)
def test_a_released_forward_pass(
    depth_height_width, features, restored, displacement, moved, losses
) -> None:
    method = reference(GVSLConfig.release())
    fixed, moving = volumes(*reversed(depth_height_width))
    with torch.no_grad():
        match, fine = method.match(moving, fixed)
        found = fine, method.restoration(fine), match.displacements, method.move(moving, match)
    for tensor, expected in zip(found, (features, restored, displacement, moved), strict=True):
        assert tensor.shape[2:] == fixed.shape[2:]
        assert (tensor.mean().item(), tensor.std().item()) == pytest.approx(expected, abs=2e-4)
    similarity = local_ncc(found[3], fixed)
    terms = similarity, mse_loss(found[1], fixed), smoothness(match.displacements)
    assert [term.item() for term in terms] == pytest.approx(losses, rel=2e-4)


@pytest.mark.slow
def test_released_matrix_and_gradients() -> None:
    expected = [
        [1.095709, -0.013584, 0.111905, -0.103983],
        [-0.058502, 0.915233, 0.084255, 0.167168],
        [-0.077914, -0.048591, 1.095584, -0.187732],
    ]
    fixed, moving = volumes(16, 16, 16)
    views = {"fixed": fixed, "damaged": fixed, "moving": moving}
    for config, learns in ((GVSLConfig.release(), False), (trained(), True)):
        method = reference(config)
        match, _ = method.match(moving, fixed)
        matrix = match.matrices[0] * torch.tensor([1, 1, 1, 16])
        torch.testing.assert_close(matrix, torch.tensor(expected), rtol=0, atol=1e-4)
        torch.autograd.backward(method(views).total)
        m = method.matching
        norms = {
            "displacement": (m.displacement, 5.56307),
            "restoration": (method.restoration.layers[0], 1.14232),
            "last stage": (method.backbone.merges[0][3], 5.65296),
            "bottleneck": (method.backbone.down[4][3], 19.1189 if learns else 5.65475),
        }
        if learns:
            norms |= {
                "angles": (m.angles, 3.54738),
                "scales": (m.scales, 2.19515),
                "shifts": (m.shifts, 2.20142),
                "shears": (m.shears, 1.65639),
                "affine": (m.affine[0], 39.2561),
            }
        for name, (layer, norm) in norms.items():
            assert layer.weight.grad.norm().item() == pytest.approx(norm, rel=1e-3), name
        reached = [p.grad is not None and bool(p.grad.any()) for p in parameters(method)]
        assert sum(reached) == (104 if learns else 104 - 16)


def trained() -> GVSLConfig:
    """The release, but for a gradient that reaches the affine head."""
    return replace(GVSLConfig.release(), affine_gradient=True)


@pytest.mark.slow
def test_repaired_every_parameter_learns() -> None:
    method = reference(GVSLConfig())
    fixed, moving = volumes(16, 16, 16)
    torch.autograd.backward(method({"fixed": fixed, "damaged": fixed, "moving": moving}).total)
    assert len(parameters(method)) == 104
    for parameter in parameters(method):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()


def test_published_size() -> None:
    with torch.device("meta"):
        method = GVSLConfig().build(GVSLUNetConfig().build(1))
    assert sum(p.numel() for p in method.parameters()) == 32_440_739


def test_the_views_of_a_pair_share_one_pose_and_only_one_is_damaged() -> None:
    method, batch = build(), batch_of(0, 1)
    batch = replace_moving_by_fixed(batch)
    views = views_of(method, batch)
    assert set(views) == {"fixed", "damaged", "moving"}
    torch.testing.assert_close(views["moving"], views["fixed"])
    assert not torch.allclose(views["damaged"], views["fixed"], atol=0.05)
    unposed = views_of(build(STILL), batch)
    assert not torch.allclose(unposed["fixed"], views["fixed"], atol=0.05)
    expected = ((batch.volumes[:, 0].float() + 1024) / 2048).clamp(0, 1)
    torch.testing.assert_close(unposed["fixed"], expected)


def replace_moving_by_fixed(batch: Batch) -> Batch:
    return replace(batch, volumes=batch.volumes[:, :1].expand(-1, 2, -1, -1, -1, -1))


def test_an_examples_views_do_not_depend_on_its_batch() -> None:
    method = build()
    together, alone = views_of(method, batch_of(3, 8)), views_of(method, batch_of(8))
    for name, view in alone.items():
        torch.testing.assert_close(together[name][1:], view)


def test_losses_and_gain() -> None:
    method = build(STILL)
    views = views_of(method, batch_of(0, 1))
    outcome = method(views)
    assert set(outcome.losses) == {"similarity", "restoration", "smoothness"}
    # Training starts at the identity, which gains nothing.
    assert outcome.monitors["gain"].item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(
        outcome.losses["similarity"], local_ncc(views["moving"], views["fixed"])
    )
    assert outcome.losses["smoothness"].item() == 0
    other = build(replace(STILL, similarity="mind"))(views)
    torch.testing.assert_close(other.losses["similarity"], mind(views["moving"], views["fixed"]))


@pytest.mark.slow
def test_a_shift_is_learned() -> None:
    method = build(STILL)
    views = views_of(method, batch_of(0, 1))
    optimizer = torch.optim.Adam(method.parameters(), lr=3e-3)
    gains = []
    for _ in range(20):
        outcome = method(views)
        optimizer.zero_grad()
        torch.autograd.backward(outcome.total)
        optimizer.step()
        gains.append(outcome.monitors["gain"].item())
    assert gains[0] == pytest.approx(0, abs=1e-6)
    assert gains[-1] > 0.1


@pytest.mark.parametrize("backbone", [UNet3DConfig(width=2), FPN3DConfig(channels=2, levels=3)])
def test_any_backbone_with_a_decoder_will_do(backbone) -> None:
    method = SMALL.build(backbone.build(2))
    views = views_of(method, batch_of(0, channels=2))
    assert method(views).total.isfinite()
    shown = method.illustrate(views)
    assert {view.shape for view in shown.values()} == {(1, 2, *SIZE)}


def test_the_release_is_a_preset() -> None:
    config = method_config("gvsl:release")
    assert config == GVSLConfig.release()
    assert not config.build(GVSLUNetConfig(width=2).build(1)).crops.distinct


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"place": "corner"}, "place must be one of center, shared, whole, got 'corner'"),
        ({"similarity": "mse"}, "similarity must be one of ncc, mind, got 'mse'"),
        ({"shift_unit": 0.0}, "shift_unit must be above 0 voxels, got 0.0"),
        ({"ncc_window": 8}, "ncc_window must be odd and at least 3, got 8"),
        (
            {"crop_size": (64, 64, 16), "ncc_border": "full", "ncc_window": 17},
            r"ncc_window must fit into crop_size \(64, 64, 16\) where ncc_border is full, got 17",
        ),
        ({"crop_size": (128, 128, 8)}, "axis z of 8 voxels is too short"),
    ],
)
def test_values_without_a_meaning_are_refused(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        GVSLConfig(**arguments)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"divisible by \(16, 16, 16\) for GVSLUNet, got"):
        build(replace(SMALL, crop_size=(40, 32, 32)))


def test_poses_can_be_changed() -> None:
    config = replace(SMALL, pose=PoseConfig(rotation_degrees=0, scaling=0, shear_degrees=0))
    matrices = (
        build(config)
        .draw(batch_of(0), KeyedGenerator.for_examples(0, torch.arange(1)))
        .pose.matrices
    )
    torch.testing.assert_close(matrices[0, :, :3], torch.eye(3))

"""What a cube must look like in the reference of a word to be taken."""

from __future__ import annotations

from collections.abc import Callable

from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.errors import SelfscanError
from selfscan.scans.crops.lung import tissue_score
from selfscan.scans.store import Store
from selfscan.scans.words import Box

Accepts = Callable[[int, Box], bool]


def crop_filter(store: Store, recipe: DiscoveryRecipe) -> Accepts:
    """The filter of a recipe, from a scan's number and a box to whether the cube is taken.

    Raises:
        SelfscanError: `air_dominated` with scans that are no CT.
    """
    if recipe.crop_filter == "foreground_fraction":
        return lambda scan, box: foreground_fraction(store, scan, box, recipe.foreground)
    if not store.hounsfield[:, 0].all():
        raise SelfscanError(
            f"{store.path}: found {(~store.hounsfield[:, 0]).sum()} of {len(store)} scans that are "
            "no CT; the crop filter air_dominated needs Hounsfield units; use foreground_fraction"
        )
    return lambda scan, box: air_dominated(
        store, scan, box, tissue_hu=recipe.tissue_hu, most_tissue=recipe.most_tissue
    )


def foreground_fraction(store: Store, scan: int, box: Box, bounds: tuple[float, float]) -> bool:
    """Whether the share of a box that lies in the body is within bounds, both included."""
    share = float(store.read_foreground(scan, box.start, box.extent).mean())
    return bounds[0] <= share <= bounds[1]


def air_dominated(
    store: Store, scan: int, box: Box, *, tissue_hu: float, most_tissue: float
) -> bool:
    """Whether the mean tissue score of a box is low enough: the published rule.

    A voxel scores 1 where it is tissue, 1/2 where only the next along Z is. The release looks one
    voxel further, which changes no score.
    """
    x, y, z = box.extent
    window = store.read(scan, box.start, (x, y, z + 1))[0]
    return tissue_score(window, tissue_hu) <= most_tissue

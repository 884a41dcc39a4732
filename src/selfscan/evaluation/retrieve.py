"""The verb `retrieve`: does a voxel's embedding find the same place in another scan?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from selfscan.configuration import as_plain
from selfscan.evaluation.embedding_colors import color_scans, different_patients
from selfscan.evaluation.embedding_picture import draw_colored, save_colored
from selfscan.evaluation.floors import intensity_patches, relative_places
from selfscan.evaluation.organ_search import PATCHES, PLACE, Embedding, organ_errors
from selfscan.evaluation.page import PHOTO_DOTS
from selfscan.evaluation.pictures import FOLDER
from selfscan.evaluation.provenance import provenance
from selfscan.evaluation.queries import warp_queries
from selfscan.evaluation.retrieval import errors_mm, find_nearest, gather
from selfscan.evaluation.retrieval_page import write_page
from selfscan.evaluation.retrieval_scores import print_errors, save_errors
from selfscan.evaluation.warp import check_warp
from selfscan.files import written_atomically
from selfscan.progress import Progress, console
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.frozen import FrozenBackbone, freeze
from selfscan.training.intact import require_intact_on_each_node
from selfscan.training.run_folder import open_run_folder
from selfscan.training.seeds import derive_seed
from selfscan.training.segmentation import Size, inference_fabric
from selfscan.training.start import Start, starting_point

CHECKPOINT, RANDOM = "checkpoint", "random network"


@dataclass(frozen=True)
class RetrievalRecipe:
    """What is looked for, and how.

    Attributes:
        points: Voxels drawn from each warped scan.
        amplitude_mm: How far a control point of the warp moves along each axis, at most; voxels
            move a third of that (root mean square).
        scale_mm: Distance of the warp's control points.
        crop_size: Windows that the backbone sees, in voxels; None takes the checkpoint's.
        overlap: Share of a window that its neighbor covers too.
        patch_size: Edge of the floor's intensity patches, in voxels.
    """

    points: int = 200
    amplitude_mm: float = 30.0
    scale_mm: float = 80.0
    crop_size: Size | None = None
    overlap: float = 0.5
    patch_size: int = 7

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if self.points < 1:
            raise ValueError(f"points must be at least 1, got {self.points}")
        check_warp(self.amplitude_mm, self.scale_mm)
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {self.overlap}")
        if self.patch_size < 1 or self.patch_size % 2 == 0:
            raise ValueError(f"patch_size must be odd and positive, got {self.patch_size}")


_RECIPE, _ENGINE = RetrievalRecipe(), EngineConfig()


def retrieve(
    store: Path | str,
    out: Path | str,
    *,
    checkpoint: Path,
    cases: int | Sequence[str] = 4,
    split: str = "test",
    pictures: int = 3,
    recipe: RetrievalRecipe = _RECIPE,
    engine: EngineConfig = _ENGINE,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Find voxels of one scan in another by the nearest embedding; measure the error in mm.

    Two kinds of query. `warp`: the body of a scan after a known smooth warp, searched for in the
    scan itself; needs no labels, and asks for precision: the anatomy is that of the same patient,
    down to the noise. `organs`: the middle of each labelled organ of a patient, searched for in
    every other patient; asks whether the same anatomy has the same embedding.

    Beside the checkpoint, always: the same network with random weights, patches of intensities, and
    the same relative place in the box around the body, which looks at no intensity at all.

    Args:
        store: A prepared store.
        out: The folder for `retrieval.html`, `retrieval.parquet`, `summary.csv`, `retrieval.json`,
            and `pictures`.
        checkpoint: A run folder or checkpoint file, of any method and backbone.
        cases: Scans of the split to take: the first so many in a fixed order, as far as there are
            so many, or these ids of any split.
        split: Where the scans come from.
        pictures: Patients whose slices are colored by their embeddings; 0 for none.
        recipe: What is looked for, and how.
        engine: Where to compute; one process.
        seed: Of the warps, the voxels drawn and the random network.
        resume: Keep a finished result in `out`; an unfinished one is computed again.
        overwrite: Delete what `out` holds.

    Returns:
        One row a query and embedding: `kind`, `embedding`, `scan` (where the query is from),
        `target` (where it is searched), `structure`, `error_mm`.

    Raises:
        SelfscanError: No such scans, or a folder in the way.
        ContractError: The store was prepared otherwise than what the checkpoint was trained on.
        ValueError: An argument out of range; nothing was done.
    """
    arguments = dict(locals())
    if isinstance(cases, int) and cases < 1:
        raise ValueError(f"cases must be at least 1, or ids, got {cases}")
    if pictures < 0:
        raise ValueError(f"pictures must not be negative, got {pictures}")
    out, begun = Path(out), monotonic()
    scans = _chosen(Store(store), split, cases)
    start = starting_point(
        scans,
        checkpoint=Path(checkpoint),
        backbone=None,
        crop_size=recipe.crop_size,
        window_hu=None,
    )
    fabric = inference_fabric(engine)
    networks = {
        name: freeze(start, seed=seed, overlap=recipe.overlap, fabric=fabric, trained=trained)[0]
        for name, trained in ((CHECKPOINT, True), (RANDOM, False))
    }
    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    if (out / "retrieval.parquet").exists():
        return pd.read_parquet(out / "retrieval.parquet")
    require_intact_on_each_node(engine, fabric, scans)

    patches = partial(intensity_patches, window_hu=start.window_hu, size=recipe.patch_size)
    embeddings: dict[str, Embedding] = {
        **{name: network.window_features for name, network in networks.items()},
        PATCHES: patches,
    }
    rows: list[dict[str, Any]] = []
    with Progress("retrieve", total=len(scans), unit="scans") as progress:
        for target in range(len(scans)):
            rows += _warp_errors(scans, target, embeddings, recipe, seed)
            progress.advance()
    organs = organ_errors(scans, embeddings).assign(kind="organs")
    errors = pd.concat([pd.DataFrame(rows), organs], ignore_index=True)
    colored = _save_pictures(networks, scans, pictures, out) if pictures else {}
    facts = _facts(scans, start, networks[CHECKPOINT], checkpoint, seed, recipe)
    facts |= {"seconds": round(monotonic() - begun), **provenance()}
    with written_atomically(out / "retrieval.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n")
    page = write_page(errors, facts, colored, out)
    save_errors(errors, out)
    print_errors(errors)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)
    return errors


def _chosen(store: Store, split: str, cases: int | Sequence[str]) -> Store:
    """The scans to work on: the order depends on the ids alone."""
    if not isinstance(cases, int):
        return store.select(ids=list(cases))
    ids = sorted(store.select(splits=[split]).ids)
    order = np.random.default_rng(0).permutation(len(ids))
    return store.select(ids=[ids[i] for i in order[:cases]])


def _warp_errors(
    scans: Store,
    target: int,
    embeddings: Mapping[str, Embedding],
    recipe: RetrievalRecipe,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of the voxels of a scan after a warp, searched for in the scan itself."""
    record, volume = scans[target], scans.read(target)
    body = np.argwhere(scans.read_foreground(target))
    asked = warp_queries(
        scans,
        target,
        points=recipe.points,
        amplitude_mm=recipe.amplitude_mm,
        scale_mm=recipe.scale_mm,
        seed=derive_seed(seed, "warp", record.id),
    )
    found = {}
    for name, embedding in embeddings.items():
        queries = gather(partial(embedding, asked.volume, asked.hounsfield), asked.voxels)
        found[name] = find_nearest(partial(embedding, volume, record.hounsfield), body, queries)
    found[PLACE] = relative_places(asked.voxels, asked.box, record.foreground_box)
    named = {"kind": "warp", "scan": record.id, "target": record.id, "structure": ""}
    return [
        named | {"embedding": name, "error_mm": float(error)}
        for name, places in found.items()
        for error in errors_mm(places, asked.truth, record.spacing)
    ]


def _save_pictures(
    networks: Mapping[str, FrozenBackbone], scans: Store, patients: int, out: Path
) -> dict[str, Any]:
    """Color slices by each network's embeddings; keep what the page shows, and as an image."""
    shown, colored = different_patients(scans, patients), {}
    for name, network in networks.items():
        colored[name] = color_scans(network, shown)
        file = out / FOLDER / f"embeddings-{name.replace(' ', '-')}.npz"
        save_colored(colored[name], file)
        with written_atomically(file.with_suffix(".png")) as temporary:
            draw_colored(colored[name]).savefig(temporary, dpi=PHOTO_DOTS)
    return colored


def _facts(
    scans: Store,
    start: Start,
    network: FrozenBackbone,
    checkpoint: Path,
    seed: int,
    recipe: RetrievalRecipe,
) -> dict[str, Any]:
    """What was compared with what, as `retrieval.json` holds it."""
    assert start.checkpoint is not None
    method = start.checkpoint.method
    return {
        "store": str(scans.path),
        "scans_digest": scans.digest(),
        "cases": list(scans.ids),
        "patients": len(set(scans.subjects)),
        "checkpoint": str(checkpoint),
        "method": method.name if method else "",
        "steps": start.checkpoint.steps,
        "backbone": as_plain(start.backbone),
        "features": sum(network.pyramid.channels),
        "crop_size": list(start.crop_size),
        "window_hu": list(start.window_hu),
        "seed": seed,
        "recipe": as_plain(recipe),
    }

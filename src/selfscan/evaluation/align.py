"""The verb `align`: do labels fall on those of another patient once the network moved them?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pandas as pd

from selfscan.checkpoints.checkpoint import Checkpoint
from selfscan.configuration import as_plain
from selfscan.errors import SelfscanError
from selfscan.evaluation.alignment import (
    IDENTITY,
    WARP,
    Pair,
    arms,
    draw_pairs,
    moved_labels,
    moved_volume,
    score_pair,
)
from selfscan.evaluation.alignment_page import write_page
from selfscan.evaluation.alignment_picture import FIXED, AlignedPair, draw_aligned
from selfscan.evaluation.alignment_scores import pair_scores, print_alignment, save_alignment
from selfscan.evaluation.page import PHOTO_DOTS
from selfscan.evaluation.pictures import FOLDER
from selfscan.evaluation.provenance import provenance
from selfscan.evaluation.slices import gray_values
from selfscan.files import written_atomically
from selfscan.progress import Progress, console
from selfscan.scans.crops import MatchedCrops
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.intact import require_intact_on_each_node
from selfscan.training.matching import Matched, WholeScan, load_matching, match_scans
from selfscan.training.run_folder import open_run_folder
from selfscan.training.segmentation import inference_fabric
from selfscan.training.start import require_fit

_ENGINE = EngineConfig()


def align(
    store: Path | str,
    out: Path | str,
    *,
    checkpoint: Path,
    pairs: int = 20,
    split: str = "test",
    pictures: bool = True,
    engine: EngineConfig = _ENGINE,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Move the labels of scans onto other patients by a network that aligns; measure their overlap.

    Beside the whole map, always: the crops laid on each other without it (`identity`), and its
    affine part alone. Labels choose nothing, they only judge.

    Args:
        store: A prepared store.
        out: The folder for `alignment.html`, `alignment.parquet` and the same as `.csv`,
            `summary.csv`, `alignment.json`, and `pictures`.
        checkpoint: A pre-training run folder or checkpoint file, of gvsl.
        pairs: Random pairs of scans of different patients; fewer where there are not so many.
        split: Where the scans come from; those without labels are left out.
        pictures: Whether to show the best, the median and the worst pair.
        engine: Where to compute; one process.
        seed: Of the pairs.
        resume: Keep a finished result in `out`; an unfinished one is computed again.
        overwrite: Delete what `out` holds.

    Returns:
        One row a pair, arm and label that both scans have: `moving`, `fixed`, `moving_subject`,
        `fixed_subject`, `arm`, `label`, `structure`, `dice`; and of the pair in this arm the local
        `correlation` and the share of voxels where the map is `folding`.

    Raises:
        SelfscanError: The checkpoint does not align scans, there are no such scans, or a folder is
            in the way.
        ContractError: The store was prepared otherwise than what the checkpoint was trained on.
        ValueError: An argument out of range; nothing was done.
    """
    arguments = dict(locals())
    if pairs < 1:
        raise ValueError(f"pairs must be at least 1, got {pairs}")
    out, begun = Path(out), monotonic()
    method, model = load_matching(Path(checkpoint))
    scans = Store(store).select(splits=[split], labelled=True)
    require_fit(model, scans, path=Path(checkpoint))
    replace(method.crops, distinct=True).check(scans)
    fabric = inference_fabric(engine)
    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    if (out / "alignment.parquet").exists():
        return pd.read_parquet(out / "alignment.parquet")
    require_intact_on_each_node(engine, fabric, scans)

    method.to(fabric.device)

    def matched(pair: Pair) -> Matched:
        moving, fixed = (WholeScan.stored(scans, i) for i in pair)
        return match_scans(method, moving, fixed, fabric=fabric)

    drawn, scored = draw_pairs(scans.subjects, pairs, seed=seed), []
    with Progress("align", total=len(drawn), unit="pairs") as progress:
        for pair in drawn:
            scored += score_pair(scans, pair, matched(pair))
            progress.advance()
    if not scored:
        raise SelfscanError(
            f"{store}: found no label that both scans of a pair have, in {len(drawn)} pairs; "
            "expected scans that share anatomy; label them alike, or choose another --split"
        )
    rows = pd.DataFrame(scored)
    shown = _save_pictures(scans, rows, matched, out) if pictures else {}
    facts = _facts(scans, drawn, method.crops, model, checkpoint, seed)
    facts |= {"seconds": round(monotonic() - begun), **provenance()}
    with written_atomically(out / "alignment.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n")
    page = write_page(rows, facts, shown, out)
    save_alignment(rows, out)
    print_alignment(rows)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)
    return rows


def _save_pictures(
    scans: Store, rows: pd.DataFrame, matched: Callable[[Pair], Matched], out: Path
) -> dict[str, AlignedPair]:
    """Cut and draw the pairs where the warp adds most, middling and least to mean Dice."""
    dice = pair_scores(rows).pivot(index=["moving", "fixed"], columns="arm", values="dice")
    order = (dice[WARP] - dice[IDENTITY]).sort_values(ascending=False).index
    # Of few pairs one may be several of these.
    roles = {len(order) // 2: "median", len(order) - 1: "worst", 0: "best"}
    shown = {}
    for place, role in sorted(roles.items()):
        moving, fixed = order[place]
        pair = scans.find(moving), scans.find(fixed)
        shown[role] = _cut(scans, pair, matched(pair), dice.loc[order[place]])
        with written_atomically(out / FOLDER / f"{role}.png") as temporary:
            draw_aligned(shown[role]).savefig(temporary, dpi=PHOTO_DOTS)
    return shown


def _cut(scans: Store, pair: Pair, matched: Matched, dice: Mapping[str, float]) -> AlignedPair:
    moving, fixed = (scans[i] for i in pair)
    maps = arms(matched.registration)
    moved = {arm: moved_volume(scans, pair, map_)[0] for arm, map_ in maps.items()}
    images = {arm: gray_values(it, hounsfield=moving.hounsfield[0]) for arm, it in moved.items()}
    images[FIXED] = gray_values(scans.read(pair[1])[0], hounsfield=fixed.hounsfield[0])
    labels = {arm: moved_labels(scans, pair, map_) for arm, map_ in maps.items()}
    labels[FIXED] = scans.read_labels(pair[1])
    return AlignedPair.cut(images, labels, spacing=fixed.spacing, dice=dice)


def _facts(
    scans: Store,
    pairs: list[Pair],
    crops: MatchedCrops,
    model: Checkpoint,
    checkpoint: Path,
    seed: int,
) -> dict[str, Any]:
    """What was compared with what, as `alignment.json` holds it."""
    return {
        "store": str(scans.path),
        "scans_digest": scans.digest(),
        "pairs": [[scans[moving].id, scans[fixed].id] for moving, fixed in pairs],
        "checkpoint": str(checkpoint),
        "method": as_plain(model.method),
        "crops": as_plain(crops),
        "steps": model.steps,
        "backbone": as_plain(model.backbone),
        "seed": seed,
    }

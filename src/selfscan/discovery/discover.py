"""The verb `discover`: visual words in a store, from scans to a table and a page to look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from selfscan.discovery.embedding import Embedder
from selfscan.discovery.likeness import Likeness, measure_words
from selfscan.discovery.recipe import DiscoveryRecipe
from selfscan.discovery.results import COUNTED, search_facts, settle, tell_words, word_table
from selfscan.discovery.search import Embedded, find_words, require_enough
from selfscan.discovery.views import shown_members
from selfscan.discovery.words_page import WordView, write_page
from selfscan.errors import SelfscanError
from selfscan.evaluation.provenance import provenance
from selfscan.files import written_atomically
from selfscan.methods.autoencoder import AutoencoderConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.progress import console
from selfscan.scans.store import Store
from selfscan.scans.words import FILE, Side
from selfscan.training.engine import EngineConfig
from selfscan.training.held_out import hold_out, pretraining_scans
from selfscan.training.intact import require_intact_on_each_node
from selfscan.training.pretrain import PretrainRecipe, pretrain
from selfscan.training.run_folder import open_run_folder
from selfscan.training.seeds import derive_seed
from selfscan.training.segmentation import inference_fabric

_RECIPE, _ENGINE, _AUTOENCODER = DiscoveryRecipe(), EngineConfig(), AutoencoderConfig()
_NETWORK = _AUTOENCODER.default_backbone
# 100 epochs of the 445 published scans.
_TRAINING = PretrainRecipe(steps=5_500, validate_every=250, checkpoint_every=250)


def discover(
    store: Path | str,
    out: Path | str,
    *,
    recipe: DiscoveryRecipe = _RECIPE,
    embedder: Path | None = None,
    autoencoder: AutoencoderConfig = _AUTOENCODER,
    network: UNet3DConfig = _NETWORK,
    training: PretrainRecipe = _TRAINING,
    engine: EngineConfig = _ENGINE,
    seed: int = 0,
    splits: Sequence[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Find visual words: places that show the same anatomy in patients who look alike.

    An auto-encoder describes each scan by one vector. For a word, a place is drawn in a reference
    scan; its members are the same place in the scans nearest to the reference, one a patient. No
    label is read. Training and held-out patients are those of `pretrain` with the same seed,
    splits and `validation_share`, and are never mixed.

    Source: Haghighi et al., "Transferable Visual Words", IEEE TMI 40(10), 2021, arXiv 2102.10680.
    US patents 11,763,952, 12,277,687 and 12,469,315 are on the method.

    Args:
        store: A folder that `prepare` wrote.
        out: The folder for `words.parquet`, the table of words; `words.html`, a page to look at
            them; `words.csv` and `words.json`; `embedder`, the run of the auto-encoder; and
            `embeddings`.
        recipe: How many words, where, and what a member is.
        embedder: A trained auto-encoder to use, a run folder or checkpoint file; None trains one.
        autoencoder: The auto-encoder to train.
        network: Its network.
        training: How long it trains, and which share of the patients is held out.
        engine: Where to compute; one process.
        seed: Of everything that is drawn.
        splits: Splits to search; by default all scans but those of patients in the splits
            `validation` and `test`.
        resume: Go on with the unfinished search in `out`; it ends in the same words, to the bit.
        overwrite: Delete what `out` holds.

    Returns:
        The folder, from which `Words.read` reads.

    Raises:
        SelfscanError: The scans do not suffice for the recipe, the auto-encoder is none, or a
            folder is in the way.
        ContractError: The store was prepared otherwise than what the auto-encoder was trained on.
        Interrupted: SIGINT or SIGTERM came while the auto-encoder trained; its state is saved.
    """
    arguments = dict(locals())
    out, source, begun = Path(out), Store(store), monotonic()
    scans = pretraining_scans(source, splits)
    learned, held = hold_out(
        scans, share=training.validation_share, seed=derive_seed(seed, "validation patients")
    )
    stores: dict[Side, Store] = {
        "training": learned.select(ids=sorted(learned.ids)),
        "validation": held.select(ids=sorted(held.ids)),
    }
    require_enough(stores["training"], stores["validation"], recipe)
    fabric = inference_fabric(engine)
    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    if (out / FILE).exists():
        return out
    require_intact_on_each_node(engine, fabric, scans)

    if embedder is None:
        run = pretrain(
            store,
            out / "embedder",
            method=autoencoder,
            backbone=network,
            recipe=training,
            engine=engine,
            seed=seed,
            splits=splits,
            resume=(out / "embedder").exists(),
        )
    else:
        run = Path(embedder)
    describing = Embedder(run, source)
    kept_in = out / "embeddings"
    sides = {
        side: Embedded(
            side,
            part,
            describing.embed(part, kept_in, fabric=fabric, workers=engine.workers),
        )
        for side, part in stores.items()
    }
    _warn_of_one_point(sides["training"])
    search = find_words(sides["training"], sides["validation"], recipe, seed=seed)
    window = describing.checkpoint.window_hu
    measured = measure_words(sides["training"], search.words, recipe, window_hu=window, seed=seed)
    kept, dropped = _kept(measured, recipe)
    likeness = [measured[i] for i in kept]
    counts = {name: search.counts[name] for name in COUNTED}
    counts |= {f"{side}_scans": len(part) for side, part in stores.items()}
    words = settle(
        [search.words[i] for i in kept],
        source,
        recipe,
        scans=scans.digest(),
        counts=counts,
        seed=seed,
        embedder=describing.digest,
    )
    words.check(source)
    views = [
        WordView(measured[i], shown_members(word, sides, recipe, window), word.place.spacing)
        for i, word in enumerate(search.words)
        if i in kept
    ]
    facts = search_facts(scans, stores, recipe, describing, seed=seed)
    facts |= {
        "counts": counts,
        "dropped": [{"word": i, "correlation": measured[i].members} for i in dropped],
        "seconds": round(monotonic() - begun),
        **provenance(),
    }
    with written_atomically(out / "words.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n")
    page = write_page(words, views, facts, out)
    table = word_table(words, likeness)
    with written_atomically(out / "words.csv") as temporary:
        table.to_csv(temporary, index=False)
    # The table of words comes last: it says that everything else is there.
    words.write(out)
    tell_words(table, counts, page)
    return out


def _kept(likeness: Sequence[Likeness], recipe: DiscoveryRecipe) -> tuple[list[int], list[int]]:
    """Numbers of the words that stay, and of those whose members are not alike enough."""
    least = recipe.least_correlation
    kept = [i for i, it in enumerate(likeness) if least is None or it.members >= least]
    if not kept:
        most = max(it.members for it in likeness)
        raise SelfscanError(
            f"found no word whose members correlate by {least:g} or more, {most:.3f} at most; "
            "lower recipe.least_correlation, and give the trained auto-encoder again with "
            "--embedder"
        )
    return kept, [i for i in range(len(likeness)) if i not in kept]


def _warn_of_one_point(training: Embedded) -> None:
    """Warn where all scans have nearly the same embedding: then neighbors mean nothing."""
    spread = float(training.embeddings.std(dim=0).norm())
    size = float(training.embeddings.norm(dim=1).mean())
    if spread < 1e-3 * size or size == 0:
        console.print(
            f"warning: embeddings differ by {spread:.2g} at a length of {size:.2g}; the "
            "auto-encoder hardly tells scans apart; train it longer (training.steps)",
            style="yellow",
            soft_wrap=True,
        )

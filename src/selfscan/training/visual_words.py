"""Visual words as a pre-training run uses them: crops, two sides, a head beside the method."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from selfscan.errors import SelfscanError
from selfscan.methods.method import MethodConfig
from selfscan.methods.words import WordClassification
from selfscan.networks.backbone import Backbone
from selfscan.scans.crops import CropPolicy, VisualWordCrops
from selfscan.scans.store import Store
from selfscan.scans.words import FILE, Side, Words

PUBLISHED_WEIGHT = 0.01
HEAD = "words."  # what the names of the head's weights begin with in a checkpoint


@dataclass(frozen=True)
class VisualWords:
    """The words that a run learns from.

    Attributes:
        path: Their file.
        words: What it holds.
        digest: SHA-256 of the file.
        weight: Of naming them, among the losses.
    """

    path: Path
    words: Words
    digest: str
    weight: float = PUBLISHED_WEIGHT

    @classmethod
    def read(cls, path: Path, weight: float | None) -> VisualWords:
        """Read the words of a file, or of a folder of `selfscan discover`.

        Raises:
            SelfscanError: There are none.
        """
        words = Words.read(path)
        file = Path(path) / FILE if Path(path).is_dir() else Path(path)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return cls(file, words, digest, PUBLISHED_WEIGHT if weight is None else weight)

    def crops(self, policy: CropPolicy) -> VisualWordCrops:
        """The examples of a method, laid at these words.

        Raises:
            ValueError: Its policy chooses places by itself.
        """
        return VisualWordCrops(self.words, policy)

    def sides(self, store: Store) -> tuple[Store, Store]:
        """The scans with words to learn from, and those with words to validate on.

        Raises:
            SelfscanError: There are none on one side.
        """
        return self._side(store, "training"), self._side(store, "validation")

    def objective(self, backbone: Backbone, *, seed: int) -> WordClassification:
        """The head that names them, with random weights, the same for one seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return WordClassification(backbone, words=len(self.words), weight=self.weight)

    def _side(self, store: Store, side: Side) -> Store:
        wanted = {member.scan for member in self.words.members if member.split == side}
        ids = [id for id in store.ids if id in wanted]
        if not ids:
            raise SelfscanError(
                f"{self.path}: found {len(wanted)} scans with words for {side}, none of them among "
                f"the {len(store)} of {store.path} that this run may see; expected some; give the "
                "store, and the --splits, that the words were discovered in"
            )
        return store.select(ids=ids)


def words_for(method: MethodConfig, path: Path | None, weight: float | None) -> VisualWords | None:
    """The words of a run; None where it has none and needs none.

    Raises:
        SelfscanError: The file cannot be used.
        ValueError: The method needs words and has none, or there is a weight without words.
    """
    if path is not None:
        return VisualWords.read(path, weight)
    if method.needs_words:
        raise ValueError(
            f"{method.name} learns from visual words, got none; discover them by `selfscan "
            "discover STORE WORDS`, and give --words WORDS"
        )
    if weight is not None:
        raise ValueError(f"word_weight must be given with words, or left out, got {weight}")
    return None


def head_weights(objective: WordClassification | None) -> dict[str, Tensor]:
    """The head's weights by the names that they have in a checkpoint."""
    state = {} if objective is None else objective.head.state_dict()
    return {HEAD + name: weight for name, weight in state.items()}


def keep_head(objective: WordClassification, weights: Mapping[str, Tensor]) -> None:
    """Go on with the head of a checkpoint that named the same words on the same backbone."""
    names = {name.removeprefix(HEAD): weights[name] for name in weights if name.startswith(HEAD)}
    current = objective.head.state_dict()
    if {name: w.shape for name, w in names.items()} == {n: w.shape for n, w in current.items()}:
        objective.head.load_state_dict(names)

"""Visual words as an auxiliary objective: any method's encoder learns to name them by the way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from selfscan.losses.gather import mean_over_processes
from selfscan.methods.method import MethodConfig, Outcome
from selfscan.networks.backbone import Backbone
from selfscan.networks.word_head import WordHead
from selfscan.scans.crops.words import NO_WORD

WORDS_NOTE = (
    "Visual words: US patents 11,763,952, 12,277,687 and 12,469,315 are on learning from them "
    "(TransVW); ask before commercial use."
)


class WordClassification(nn.Module):
    """Names the word that a crop shows from the coarsest map of a method's own encoder.

    It looks at the maps of the method's own passes (`Backbone.watched`), whatever view of a crop
    they show, and adds the cross-entropy of a head of its own. The method never learns of it. Crops
    that show no word count for nothing, so that a batch may hold both; the mean is over the named
    crops of all processes.

    Source: Haghighi et al., "Transferable Visual Words", IEEE TMI 2021.

    Args:
        backbone: Whose coarsest map is looked at; the head normalizes as it does, over the batch at
            hand or by running statistics.
        words: How many there are.
        weight: Of the cross-entropy. With 0 the head stays as it is, and nothing else is changed.

    Raises:
        ValueError: The weight is negative, or there are fewer than two words.
    """

    def __init__(self, backbone: Backbone, *, words: int, weight: float = 0.01) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"word_weight must not be negative, got {weight}")
        self.head = WordHead(
            backbone.encoder_pyramid.channels[-1],
            words=words,
            norm="batch-statistics" if backbone.mixes_batch else "batch",
        )
        self.weight = weight

    def forward(self, seen: Sequence[Tensor], shown: Sequence[Tensor], words: Tensor) -> Outcome:
        """The loss `words`, and `word_accuracy`, the share of crops at words named rightly.

        Args:
            seen: The coarsest map (rows, F, x, y, z) of each pass.
            shown: Which crop each row shows, (rows,) for each pass (`Method.shown_crops`).
            words: The word of each crop, (crops,), int64; -1 where it shows none.

        Raises:
            ValueError: There were other passes, or rows, than the method says.
        """
        found, expected = [len(map) for map in seen], [len(rows) for rows in shown]
        if found != expected:
            raise ValueError(
                f"expected passes of {expected} rows, as the method's shown_crops says, got {found}"
            )
        targets = words[torch.cat(list(shown)).to(words.device)]
        logits = self.head(torch.cat(list(seen)))
        named = targets != NO_WORD
        # Processes may hold different numbers of crops at words.
        count = mean_over_processes(named.sum())
        count = torch.where(count == 0, 1, count)
        loss = functional.cross_entropy(logits, targets, ignore_index=NO_WORD, reduction="sum")
        accuracy = ((logits.argmax(dim=1) == targets) & named).sum() / count
        return Outcome({"words": self.weight * loss / count}, {"word_accuracy": accuracy})


def license_note(method: MethodConfig, *, has_words: bool) -> str:
    """What the user must know of a method, and of visual words where they stand beside it."""
    beside = has_words and not method.needs_words
    return f"{method.license_note} {WORDS_NOTE}" if beside else method.license_note

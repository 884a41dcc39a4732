"""Which scans pre-training may see, and which of them it validates on; a patient is on one side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from selfscan.errors import SelfscanError
from selfscan.scans.near_duplicates import RESERVED
from selfscan.scans.store import Store


def pretraining_scans(store: Store, splits: Sequence[str] | None) -> Store:
    """The scans of the given splits; by default all that later verbs do not keep for themselves.

    By default the scans marked `validation` and `test` stay unseen, and with them any other scan of
    the same patients, and of patients with a near-duplicate of such a scan: one person under two
    names. Labels play no part.

    Raises:
        SelfscanError: No scan is left.
    """
    if splits is not None:
        return store.select(splits=tuple(splits))
    reserved = store.in_splits(RESERVED)
    copies = store.near_duplicates_of(reserved)
    kept_back = store.patients[reserved | copies]
    open_to_all = ~np.isin(store.patients, kept_back)
    if not open_to_all.any():
        raise SelfscanError(
            f"{store.path}: found scans of the splits validation and test only; expected others "
            "to pre-train on; name the splits to use with --splits"
        )
    return store.select(where=open_to_all)


def hold_out(store: Store, *, share: float, seed: int, at_least: int = 1) -> tuple[Store, Store]:
    """Divide the scans into those to train on and those to validate on, by patient.

    Patients with near-duplicates of one another's scans count as one: a person under two names.

    Args:
        store: All scans of pre-training.
        share: Share of the patients to validate on.
        seed: Another seed holds out other patients.
        at_least: Patients on either side, whatever the share.

    Raises:
        SelfscanError: There are fewer than `at_least` patients for either side.
    """
    persons = _persons(store)
    patients = int(persons.max()) + 1
    if patients < 2 * at_least:
        fewer = patients <= store.patients.max()
        repeated = ", those whose scans nearly repeat one another counted as one" if fewer else ""
        raise SelfscanError(
            f"{store.path}: found scans of {patients} patient(s){repeated}; expected at least "
            f"{2 * at_least}, since {at_least} must be validated on and as many trained on; add "
            "scans, or prepare them with subject keys that tell them apart"
        )
    count = min(max(round(share * patients), at_least), patients - at_least)
    order = np.random.default_rng(seed).permutation(patients)
    held = np.isin(persons, order[:count])
    return store.select(where=~held), store.select(where=held)


def _persons(store: Store) -> npt.NDArray[np.int64]:
    """The number of each scan's person, (scans,): that of its patient where nothing is repeated."""
    _, group = np.unique(store.near_duplicate_groups, return_inverse=True)
    # Each scan links its patient to its group of near-duplicates. Patients come first, so that
    # persons are numbered as they are.
    patients = int(store.patients.max()) + 1
    size = patients + len(store)
    links = coo_array((np.ones(len(store)), (store.patients, patients + group)), (size, size))
    _, person = connected_components(links, directed=False)
    return np.asarray(person, dtype=np.int64)[store.patients]

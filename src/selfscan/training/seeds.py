"""Independent random streams from one seed: each purpose, and each step, has its own number."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A number in [0, 2^63) for this purpose; it does not depend on the machine or the session.

    Args:
        seed: The run's seed.
        purpose: What the numbers are for, such as `"step", 12`.
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

"""Tables of others: a column of the right type may still lack values, at any depth of its lists."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from selfscan.errors import SelfscanError


def require_filled(file: Path, table: pa.Table, *, but: Collection[str] = ()) -> None:
    """Refuse a table in which a value is missing, or is none of its kind.

    Args:
        file: Where it comes from, for the message.
        table: Its columns.
        but: The columns in which values may be missing.

    Raises:
        SelfscanError: One is, or a text is no text.
    """
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        raise SelfscanError(
            f"{file}: found a damaged table ({str(error).splitlines()[0]}); expected text and "
            "numbers; copy it again, or have it written again"
        ) from error
    for name, column in zip(table.column_names, table.columns, strict=True):
        part = column
        while name not in but:
            if part.null_count:
                raise SelfscanError(
                    f"{file}: found rows without {name}; expected a value in each; the table is "
                    "damaged: copy it again, or have it written again"
                )
            if not pa.types.is_nested(part.type):
                break
            part = pa.chunked_array(
                [piece.flatten() for piece in part.chunks], part.type.value_type
            )

"""CSV that a spreadsheet only shows: no cell of somebody's making is taken for a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

# What spreadsheets begin to calculate at, also in its full-width forms; tab, CR and LF lead to it.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

Cell = str | int | None


def csv_text(rows: Iterable[Sequence[Cell]]) -> bytes:
    """The rows as RFC 4180 has them, in UTF-8; None is an empty cell.

    A text that begins like a formula gets an apostrophe before it, which a spreadsheet takes for "this is text".
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([_shown(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _shown(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell

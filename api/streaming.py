"""Answers that are made page by page while they are sent: whoever exports much holds up nobody.

In memory is one page, and the database knows nothing of it between two: a client that reads slowly, or has gone, keeps
no transaction open and no connection of the pool. What is read is therefore no snapshot: each page is of its own
moment (docs/adr/0021-exports-are-read-page-by-page.md).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from flask import Response

from api.responses import NO_STORE
from shared.db import Engine, Session, transaction
from shared.store.paging import Page, PageRequest

# Some ten milliseconds of this process' time, in which nobody else is answered; and 50 to 200 KB of text.
ROWS: Final = 500

Read = Callable[[Session, PageRequest], Page]


def each_page(
    engine: Engine, read: Read, *, first: Page | None = None
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Every page of a list that is read in the order of its key, a transaction each; `first` was read already."""
    asked = PageRequest(sort="", limit=ROWS)
    page = first
    while True:
        if page is None:
            with transaction(engine) as session:
                page = read(session, asked)
        yield page.rows
        if page.next is None:
            return
        asked, page = replace(asked, after=page.next), None


def download(chunks: Iterator[bytes], *, content_type: str, file_name: str) -> Response:
    """The chunks as a file. The first is made before the answer begins, so what fails at once is a problem document;
    what fails later cuts the answer off, which every client of HTTP/1.1 notices.
    """
    begun = chain([next(chunks)], chunks)
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{file_name}"'}
    return Response(begun, content_type=content_type, headers=headers)

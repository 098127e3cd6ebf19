"""Reading an answer that may have several pages."""

from typing import NamedTuple

import msgspec

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Link
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages import Found, ListDatasets, Search

MAX_PAGES = 100
"""Whoever answers decides how much comes; we decide when it is enough: at 50 MiB."""


class Answered(NamedTuple):
    """The signed records of all pages, and the counts that whoever answered claims."""

    records: tuple[bytes, ...]
    counts: Counts | None
    partial: bool
    """True when there would have been more."""


def read_pages(link: Link, question: Search | ListDatasets, *, most: int = MAX_PAGES) -> Answered:
    """Asks for one page after the other, at most so many.

    Raises:
        P2PGridError: see ``ask``.
        RemoteProtocolError: the pages go round in a circle.
    """
    first = page = ask(link, question, Found)
    records, place = [*page.records], 0
    for _ in range(1, most):
        if not page.next:
            break
        if page.next <= place:
            raise RemoteProtocolError(f"after place {place} of an answer comes {page.next}")
        place = page.next
        page = ask(link, msgspec.structs.replace(question, after=place), Found)
        records.extend(page.records)
    return Answered(tuple(records), first.counts, partial=bool(page.next))

"""Records in as many messages as they need."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from p2pgrid.protocol.messages import MAX_RECORDS

PAGE_BYTES = 512 * 1024
"""Of records in one message: any record fits, and a guest's frame has room for as many again."""

Page = tuple[bytes, ...]
Numbered = Iterable[tuple[int, bytes]]


def first_page(numbered: Numbered, *, limit: int = MAX_RECORDS) -> tuple[Page, int]:
    """The records that fit into one message, and the number of the last; 0 if those were all.

    Args:
        numbered: numbers from 1, rising, each with its record; no more is read than is needed.
        limit: most records.
    """
    page: list[bytes] = []
    size = last = 0
    for number, record in numbered:
        size += len(record)
        if len(page) == limit or size > PAGE_BYTES:
            return tuple(page), last
        page.append(record)
        last = number
    return tuple(page), 0


def pages_of(records: Sequence[bytes]) -> Iterator[tuple[Page, bool]]:
    """The records in as many messages as they need, at least one; True with the last."""
    page, place = first_page(enumerate(records, 1))
    while place:
        yield page, False
        page, place = first_page(islice(enumerate(records, 1), place, None))
    yield page, True

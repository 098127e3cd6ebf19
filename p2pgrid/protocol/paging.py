"""Records in as many messages as they need."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from p2pgrid.protocol.messages import MAX_RECORDS

PAGE_BYTES = 512 * 1024
"""Of records in one message: any record fits, and a guest's frame has room for as many again."""


def fitting(records: Sequence[bytes]) -> int:
    """How many of the records fit into one message."""
    ends = list(accumulate(map(len, records)))
    return min(bisect_right(ends, PAGE_BYTES), MAX_RECORDS)


def pages_of(records: Sequence[bytes]) -> Iterator[tuple[tuple[bytes, ...], bool]]:
    """The records in as many messages as they need, at least one; True with the last."""
    start, is_last = 0, False
    while not is_last:
        end = start + fitting(records[start:])
        is_last = end == len(records)
        yield tuple(records[start:end]), is_last
        start = end

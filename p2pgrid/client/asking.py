"""Several peers asked at once, within one deadline; what each gives is checked here.

Trust: whoever answers can leave records out and name any totals. Records it can only pass on:
each is believed for its signature, its expiry, and because it is what was asked for. What is not
is dropped and counted, and hides nothing that is good.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from typing import NamedTuple

from p2pgrid.client.in_thread import in_thread
from p2pgrid.client.pages import pages_of
from p2pgrid.client.records import read_dataset
from p2pgrid.client.splits import require_consistent
from p2pgrid.config import Limits
from p2pgrid.errors import (
    DataError,
    ExpiredRecordError,
    ForgedRecordError,
    OversizedRecordError,
    P2PGridError,
    RecordError,
    RemoteProtocolError,
    RemoteTimeoutError,
)
from p2pgrid.ids import DatasetId, PeerId
from p2pgrid.net.link import Link
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages import Found, ListDatasets, Search
from p2pgrid.protocol.queries import Query, matches
from p2pgrid.protocol.records import DatasetRecord, newer

REASONS: Mapping[type[P2PGridError], str] = {
    OversizedRecordError: "a record is too large",
    ForgedRecordError: "a record is not signed by who it names",
    ExpiredRecordError: "a record has expired (or our clock is wrong)",
}
"""Why a record is not believed; by the type of the error, never by what it quotes."""
UNREADABLE = "a record cannot be read"
INCONSISTENT = "a record contradicts itself"
MISMATCH = "a record is not what was asked for"
REPEATED = "a record was given twice"
MISCOUNTED = "the totals are not those of the records"

Key = tuple[PeerId, DatasetId]


class Asked(NamedTuple):
    """A peer to ask."""

    name: str
    link: Callable[[], Link]
    """Gives the link to it; dials when there is none."""
    signer: PeerId | None
    """Who has to have signed its records; None for a network, which passes on those of many."""


class Inquiry:
    """The search of one peer: ``run`` in a thread, then ``close``, then read what it gave."""

    def __init__(self, asked: Asked, query: Query, *, limits: Limits, within_s: float) -> None:
        """``within_s`` is how long all of it may take, from now on."""
        self.name = asked.name
        self.network = asked.name if asked.signer is None else ""
        """The network that it is; empty for a domain."""
        self.records: dict[Key, DatasetRecord] = {}
        self.rejected: Counter[str] = Counter()
        """How often it was not believed, by why; what was not believed is dropped."""
        self.offline: set[Key] = set()
        """Datasets whose domain it cannot reach now, as it says."""
        self.claimed: Counts | None = None
        self.failure: P2PGridError | None = None
        self.is_over = False
        self.has_more = False
        self._asked, self._query, self._limits = asked, query, limits
        self._within_s, self._deadline = within_s, time.monotonic() + within_s
        self._changing, self._is_closed = threading.Lock(), False

    @property
    def has_answered(self) -> bool:
        """Whether there is anything from it, be it that there is nothing."""
        return bool(self.records) or (self.is_over and self.failure is None)

    @property
    def is_whole(self) -> bool:
        """Whether it answered, and gave all that it says that it has."""
        return self.is_over and self.failure is None and not self.has_more

    @property
    def has_unproven_claim(self) -> bool:
        """Whether it named totals, and then did not give all of it."""
        return self.claimed is not None and not self.is_whole

    @property
    def problem(self) -> str:
        """Why there is not all of it; empty if there is."""
        if self.is_whole:
            return ""
        if self.is_over and self.failure is None:
            return f"has more than the {self._limits.search_pages} answers that were taken"
        what = "gave only a part" if self.records else "did not answer"
        return f"{what}: {self.failure or self._late()}"

    def run(self) -> None:
        """Asks for page after page; returns when there is no more, or none can be had."""
        failure = None
        try:
            self._take_pages()
        except P2PGridError as error:
            failure = error
        with self._changing:
            if not self._is_closed:
                self.failure, self.is_over = failure, True

    def close(self) -> None:
        """What comes from now on is too late: nothing changes any more."""
        with self._changing:
            self._is_closed = True

    def _take_pages(self) -> None:
        link, most = self._asked.link(), self._limits.search_pages
        ask_for = Search if self._asked.signer is None else ListDatasets
        for page in pages_of(link, ask_for(self._query), most=most, left_s=self._left_s):
            offline = set(page.offline)
            for number, record in enumerate(page.records):
                with self._open():
                    self._take(record, is_offline=number in offline)
            with self._open():
                self._end_page(page)

    def _left_s(self) -> float:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise self._late()
        return left_s

    def _late(self) -> RemoteTimeoutError:
        return RemoteTimeoutError(peer=self.name, timeout_s=self._within_s)

    @contextmanager
    def _open(self) -> Iterator[None]:
        """For a change; raises when it comes too late."""
        with self._changing:
            if self._is_closed:
                raise self._late()
            yield

    def _take(self, encoded: bytes, *, is_offline: bool) -> None:
        try:
            record, signer = read_dataset(encoded, self._asked.signer)
            require_consistent(record)
        except (RecordError, RemoteProtocolError) as error:
            self.rejected[REASONS.get(type(error), UNREADABLE)] += 1
        except DataError:
            self.rejected[INCONSISTENT] += 1
        else:
            self._take_signed((signer, record.dataset_id), record, is_offline=is_offline)

    def _take_signed(self, key: Key, record: DatasetRecord, *, is_offline: bool) -> None:
        known = self.records.get(key)
        if not matches(self._query, record):
            self.rejected[MISMATCH] += 1
            return
        if known is not None and known.seq == record.seq:
            self.rejected[REPEATED] += 1
        elif known is None or newer(record, known):
            self.records[key] = record
        if is_offline:
            self.offline.add(key)

    def _end_page(self, page: Found) -> None:
        """After the last one the totals have to be those of what was given."""
        self.claimed = self.claimed or page.counts
        self.has_more = bool(page.next)
        given = len(self.records) + self.rejected.total() - self.rejected[REPEATED]
        if not self.has_more and self.claimed is not None and self.claimed.datasets != given:
            self.rejected[MISCOUNTED] += 1


def ask_all(
    asked: Sequence[Asked], query: Query, *, limits: Limits, within_s: float
) -> list[Inquiry]:
    """Asks all of them the same at the same time; returns after ``within_s`` at the latest."""
    inquiries = [Inquiry(each, query, limits=limits, within_s=within_s) for each in asked]
    done, _ = wait([in_thread(it.run, name="search") for it in inquiries], timeout=within_s)
    for inquiry in inquiries:
        inquiry.close()
    for each in done:
        each.result()  # raises what no peer can cause: a mistake of ours
    return inquiries


def newest(inquiries: Sequence[Inquiry]) -> dict[Key, DatasetRecord]:
    """Every dataset once, whoever gave it: by the newest of its records."""
    found: dict[Key, DatasetRecord] = {}
    for inquiry in inquiries:
        for key, record in inquiry.records.items():
            if key not in found or newer(record, found[key]):
                found[key] = record
    return found


def out_of_reach(found: Iterable[Key], inquiries: Sequence[Inquiry]) -> dict[Key, list[str]]:
    """Datasets whose domain none who gave them can reach, with the names of those who say so."""
    givers = {key: [i for i in inquiries if key in i.records] for key in found}
    return {
        key: [inquiry.name for inquiry in given]
        for key, given in givers.items()
        if all(key in inquiry.offline for inquiry in given)
    }

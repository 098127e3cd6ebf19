"""Who has a place at a relay, and how many pipes it carries; no I/O.

Rule 1: a place holds as long as the link over which it was reserved.
Rule 2: a ticket is good for one pipe, of the peer that it was sent to, while somebody waits for it.
Rule 3: pipes are bounded in all, per peer that is dialled, and per address that dials.
"""

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from p2pgrid.config import Limits
from p2pgrid.errors import BusyError
from p2pgrid.ids import PeerId
from p2pgrid.net.link import Link
from p2pgrid.net.splice import Stream
from p2pgrid.protocol.relay import TICKET_BYTES, Verdict


class RefusedError(Exception):
    """A pipe is not carried; ``verdict`` is what whoever opened it is told."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.name)
        self.verdict = verdict


class Waiting:
    """Somebody who dialled, and what came for him; ``over`` is set when he waits no more."""

    def __init__(self) -> None:
        self.ticket = secrets.token_bytes(TICKET_BYTES)
        self.pipe: Stream | None = None
        self.settled, self.over = trio.Event(), trio.Event()


class Places:
    """See the rules at the head of the module."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._links: dict[PeerId, Link] = {}
        self._waiting: dict[bytes, Waiting] = {}
        self._pipes: Counter[str] = Counter()

    def reserve(self, link: Link) -> None:
        """Gives the peer at the other end of a link its place; twice is as once.

        May be called beside the network thread: the table is replaced as a whole.

        Raises:
            BusyError: all places are taken.
        """
        open_ = {peer: each for peer, each in self._links.items() if each.is_open}
        if link.peer not in open_ and len(open_) >= self._limits.places:
            raise BusyError(limit=self._limits.places)
        self._links = {**open_, link.peer: link}

    def link_to(self, peer: str) -> Link:
        """The link to a peer that has a place.

        Raises:
            RefusedError: it has none.
        """
        link = self._links.get(PeerId(peer))
        if link is None or not link.is_open:
            raise RefusedError(Verdict.NO_PLACE)
        return link

    @contextmanager
    def pipe(self, *, to: str, origin: str) -> Iterator[None]:
        """Counts a pipe while the context is open.

        Raises:
            RefusedError: there are too many.
        """
        ends = (f"to {to}", f"from {origin}")  # each pipe is counted at both
        if self._pipes.total() >= 2 * self._limits.pipes or any(
            self._pipes[end] >= self._limits.peer_pipes for end in ends
        ):
            raise RefusedError(Verdict.FULL)
        self._pipes.update(ends)
        try:
            yield
        finally:
            self._pipes.subtract(ends)
            self._pipes += Counter()  # forgets those of which there are none

    @contextmanager
    def waiting(self) -> Iterator[Waiting]:
        """Somebody waits, and the ticket is good, while the context is open."""
        waiting = Waiting()
        key = _key(waiting.ticket)
        self._waiting[key] = waiting
        try:
            yield waiting
        finally:
            self._waiting.pop(key, None)
            waiting.over.set()

    def give(self, ticket: bytes, pipe: Stream) -> Waiting:
        """Hands the pipe that came with a ticket to whoever waits for it.

        Raises:
            RefusedError: nobody does, or not any more.
        """
        waiting = self._waiting.pop(_key(ticket), None)
        if waiting is None:
            raise RefusedError(Verdict.BAD_TICKET)
        waiting.pipe = pipe
        waiting.settled.set()
        return waiting


def _key(ticket: bytes) -> bytes:
    """Tickets are looked up by their hash, so that timing tells nothing about them."""
    return hashlib.sha256(ticket).digest()

"""Verified records that we heard of lately, so that not every ``get`` asks the network."""

import math
from collections import OrderedDict
from dataclasses import dataclass

from p2pgrid.ids import PeerId
from p2pgrid.protocol.records import NodeRecord, SignedRecord

MAX_RECORDS = 1000
"""A record has at most 4 KiB; the one that was used longest ago is forgotten first."""


@dataclass(frozen=True, slots=True)
class Found:
    """A verified record, with the signed bytes that prove it."""

    record: NodeRecord
    signed: SignedRecord


class RecordCache:
    """The newest record that we know of each peer.

    Rule 1: what is kept never goes back to a lower ``seq``.
    Rule 2: nothing expired is given out.
    Rule 3: at most ``MAX_RECORDS`` are kept.

    Times are Unix seconds. ``fresh_s``: for so long after the network was asked, a record counts
    as the newest.
    """

    def __init__(self, *, fresh_s: float) -> None:
        self._fresh_s = fresh_s
        self._kept: OrderedDict[PeerId, tuple[Found, float]] = OrderedDict()

    def keep(self, peer: PeerId, found: Found, *, now: float) -> None:
        """Remembers what the network gave just now."""
        known = self.newest(peer, now=now)
        newest = found if known is None or found.record.seq >= known.record.seq else known
        self._kept[peer] = (newest, now)
        self._kept.move_to_end(peer)
        if len(self._kept) > MAX_RECORDS:
            self._kept.popitem(last=False)

    def newest(self, peer: PeerId, *, now: float) -> Found | None:
        """The newest record that we know, however long ago we heard of it."""
        found, _ = self._kept.get(peer, (None, 0.0))
        return found if found is not None and now < found.record.expires else None

    def is_fresh(self, peer: PeerId, *, now: float) -> bool:
        """Whether the network gave this peer's record less than ``fresh_s`` ago."""
        _, heard_at = self._kept.get(peer, (None, -math.inf))
        # A clock that was set back makes nothing fresh.
        return 0 <= now - heard_at < self._fresh_s

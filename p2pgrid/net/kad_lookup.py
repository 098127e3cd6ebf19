"""Whom to ask next on the way to a key: Kademlia's iterative lookup, without any I/O.

Source: Maymounkov and Mazieres 2002, section 2.3. On top of it: a question that is slow no longer
holds up others, peers that were slow or dead lately are asked last, and not only the nearest are
asked, so that whoever places itself next to a key does not hear every question about it.
"""

import math
from collections.abc import Callable, Collection, Iterable

from libp2p.kad_dht.common import ALPHA, BUCKET_SIZE
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo

from p2pgrid.net.kad_contacts import distance, position

SLOW_S = 0.25
"""After this a question does not count as one of ``width`` any more: another one is asked."""
ASIDE = 3
"""Every so many questions, one goes to any of the peers near the key instead of the nearest."""

Choose = Callable[[int], int]
"""A number from 0 up to, not including, its argument; how ``random.randrange`` is called."""


class Lookup:
    """One search; whoever drives it asks whom ``take`` names and says what came of it.

    Rule 1: nobody is asked twice, and ourselves never.
    Rule 2: at most ``width`` questions are in flight that are not slow.
    Rule 3: asked are only the ``BUCKET_SIZE`` nearest peers of those that did not fail; suspects
    count as farther away than all others.
    Rule 4: it is over after ``enough`` hits, or when all of those nearest
    have answered or failed.

    Args:
        target: The key; at most 50 bytes, or py-libp2p refuses to look for it.
        local: Our own id.
        choose: Where chance comes from.
        suspects: Peers that did not answer lately.
        connected: Peers that need no dial, which takes as much as fifty questions; of those near
            they are asked first.
        width: How many questions at once.
        enough: How many hits; infinite to ask everybody near.
    """

    def __init__(
        self,
        target: bytes,
        *,
        local: ID,
        choose: Choose,
        suspects: Collection[ID] = (),
        connected: Collection[ID] = (),
        width: int = ALPHA,
        enough: float = math.inf,
    ) -> None:
        self._goal = position(target)
        self._choose, self._suspects, self._connected = choose, suspects, connected
        self._width, self._enough = width, enough
        self._met: dict[ID, tuple[bool, int, PeerInfo]] = {}
        self._closed = {local}  # asked, or not to be asked
        self._asked_at: dict[ID, float] = {}
        self._hits = 0

    @property
    def over(self) -> bool:
        """Whether nothing more is to be asked or waited for."""
        return self._hits >= self._enough or not (self._asked_at or self._candidates())

    def add(self, contacts: Iterable[PeerInfo]) -> None:
        """Peers that somebody told of."""
        for contact in contacts:
            peer = contact.peer_id
            if peer not in self._closed and peer not in self._met:
                far = distance(self._goal, peer)
                self._met[peer] = (peer in self._suspects, far, contact)

    def take(self, *, now: float) -> list[PeerInfo]:
        """Whom to ask now, and not again."""
        taken = []
        while self._pending(now) < self._width and (candidates := self._candidates()):
            is_aside = len(self._closed) % ASIDE == 0
            contact = candidates[self._choose(len(candidates)) if is_aside else 0]
            self._closed.add(contact.peer_id)
            self._asked_at[contact.peer_id] = now
            taken.append(contact)
        return taken

    def wake_at(self, *, now: float) -> float:
        """When ``take`` may name somebody although nobody answered; infinite if never."""
        turning = [at + SLOW_S for at in self._asked_at.values() if at + SLOW_S > now]
        return min(turning, default=math.inf)

    def answered(self, peer: ID, *, hits: int) -> None:
        """A peer answered: 0 hits, or more if it had what is searched for."""
        del self._asked_at[peer]
        self._hits += hits

    def failed(self, peer: ID) -> None:
        """A peer did not answer: it makes room for another."""
        del self._asked_at[peer]
        del self._met[peer]

    def laggards(self, *, now: float) -> list[ID]:
        """Who was asked and is slow."""
        return [peer for peer, at in self._asked_at.items() if at + SLOW_S <= now]

    def _pending(self, now: float) -> int:
        return len(self._asked_at) - len(self.laggards(now=now))

    def _candidates(self) -> list[PeerInfo]:
        """The unasked ones, connected and then near first; suspects only if there are no others."""
        near = sorted(self._met.values(), key=lambda met: met[:2])[:BUCKET_SIZE]
        unasked = [met for met in near if met[2].peer_id not in self._closed]
        trusted = [contact for is_suspect, _, contact in unasked if not is_suspect]
        found = trusted or [contact for _, _, contact in unasked]
        return sorted(found, key=lambda contact: contact.peer_id not in self._connected)

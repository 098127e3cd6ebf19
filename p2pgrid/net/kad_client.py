"""The asking half of Kademlia: searches with a deadline, over a table that gets better by them.

Who answers enters the table, who does not leaves it, and who was slow is asked last for a while.
"""

import logging
import math
import secrets
from collections.abc import Iterable, Sequence

import trio
from libp2p.abc import IHost
from libp2p.kad_dht.common import ALPHA, BUCKET_SIZE
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.kad_dht.routing_table import RoutingTable
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo

from p2pgrid.errors import NetworkKeyError
from p2pgrid.net.kad_asker import Asker
from p2pgrid.net.kad_contacts import by_distance, known_contact
from p2pgrid.net.kad_lookup import Lookup
from p2pgrid.net.kademlia import Heard, walk

QUORUM = 3
"""A get ends when so many peers gave a valid record; the newest of them counts."""
GRACE_S = 0.5
"""How long a search goes on after its first hit: for a newer record, or for more providers."""
SUSPECT_S = 60.0
"""For so long a peer that was slow or did not answer is asked after all others."""
MAX_SUSPECTS = 1000
_LOG = logging.getLogger(__name__)


class KadClient:
    """Searches and hands over, each within half of ``timeout_s``.

    ``bootstrap`` is where a search begins when the table is empty: whoever lost all its peers, or
    was cut off for a while, begins again where it joined.
    """

    def __init__(self, host: IHost, asker: Asker, table: RoutingTable, *, timeout_s: float) -> None:
        self.bootstrap: dict[ID, PeerInfo] = {}
        self._host, self._asker, self._table = host, asker, table
        self._timeout_s = timeout_s
        self._suspects: dict[ID, float] = {}
        self._strangers: dict[ID, NetworkKeyError] = {}

    async def near(
        self, target: bytes, *, more: Sequence[PeerInfo] = (), quorum: int | None = None
    ) -> list[PeerInfo]:
        """The peers nearest to a key that answer, nearest first; or as many as ``quorum``."""
        question = Message(type=Message.FIND_NODE, key=target)
        return await self.search(question, lambda *_: quorum is not None, more=more, quorum=quorum)

    async def search(
        self,
        question: Message,
        heard: Heard,
        *,
        more: Sequence[PeerInfo] = (),
        quorum: int | None = None,
    ) -> list[PeerInfo]:
        """Puts a question to the peers nearest to its key.

        Args:
            question: With the key.
            heard: Called with each answer; how many hits it counts as.
            more: Peers to begin with, next to those of the table.
            quorum: How many hits are enough; None to ask everybody near.

        Returns:
            The peers that answered, nearest first.
        """
        # Few at once where few are enough: what is not waited for would be for nothing.
        lookup = Lookup(
            question.key,
            local=self._host.get_id(),
            choose=secrets.randbelow,
            suspects=self._current_suspects(),
            connected=frozenset(self._host.get_connected_peers()),
            width=ALPHA if quorum is None else quorum,
            enough=math.inf if quorum is None else quorum,
        )
        lookup.add([*more, *self._seeds(question.key)])
        answered: list[PeerInfo] = []
        with trio.move_on_after(self._timeout_s / 2) as deadline:

            def on_answer(contact: PeerInfo, answer: Message) -> int:
                answered.append(contact)
                hits = heard(contact, answer)
                if hits:
                    grace_ends = trio.current_time() + GRACE_S
                    deadline.deadline = min(deadline.deadline, grace_ends)
                return hits

            await walk(lookup, lambda contact: self.ask(contact, question), on_answer)
        self._suspect(lookup.laggards(now=trio.current_time()))
        return by_distance(question.key, answered)

    async def spread(self, question: Message, near: Sequence[PeerInfo]) -> None:
        """Hands something over to the nearest peers; as many as take it."""
        stored: list[ID] = []

        async def hand_over(contact: PeerInfo) -> None:
            if await self._answer(contact, question) is not None:
                stored.append(contact.peer_id)

        with trio.move_on_after(self._timeout_s / 2):
            async with trio.open_nursery() as nursery:
                for contact in near[:BUCKET_SIZE]:
                    nursery.start_soon(hand_over, contact)
        _LOG.info("stored", extra={"stored": len(stored), "asked": len(near)})

    async def ask(self, contact: PeerInfo, question: Message) -> Message | None:
        """One question to one peer, see ``Asker.ask``; the table learns from it."""
        answer = await self._answer(contact, question)
        if answer is None:
            self._table.remove_peer(contact.peer_id)
            self._suspect([contact.peer_id])
        else:
            self._suspects.pop(contact.peer_id, None)
            await self._table.add_peer(contact)
        return answer

    def raise_for_strangers(self, peers: Iterable[ID]) -> None:
        """Raises what a peer of ``bootstrap`` gave last, if that was a ``NetworkKeyError``."""
        for peer in peers:
            if peer in self._strangers:
                raise self._strangers[peer]

    async def _answer(self, contact: PeerInfo, question: Message) -> Message | None:
        """None also from a peer outside our network; of those we joined by, it is remembered."""
        self._strangers.pop(contact.peer_id, None)
        try:
            # Half of a search's own deadline: a frozen peer costs a slot for a while, no more.
            return await self._asker.ask(contact, question, self._timeout_s / 4)
        except NetworkKeyError as error:
            if contact.peer_id in self.bootstrap:
                self._strangers[contact.peer_id] = error
            return None

    def _seeds(self, target: bytes) -> list[PeerInfo]:
        table = self._table.find_local_closest_peers(target, BUCKET_SIZE)
        return [known_contact(self._host, peer) for peer in table] or [*self.bootstrap.values()]

    def _suspect(self, peers: Sequence[ID]) -> None:
        for peer in peers:
            self._suspects.pop(peer, None)
            self._suspects[peer] = trio.current_time() + SUSPECT_S
            if len(self._suspects) > MAX_SUSPECTS:
                del self._suspects[next(iter(self._suspects))]

    def _current_suspects(self) -> frozenset[ID]:
        now = trio.current_time()
        self._suspects = {peer: until for peer, until in self._suspects.items() if until > now}
        return frozenset(self._suspects)

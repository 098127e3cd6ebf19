"""Tells the DHT and the networks that this node lives and what it lists, again and again."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from actors.places import Places
from actors.record_book import RecordBook
from p2pgrid.errors import P2PGridError, UnavailableError
from p2pgrid.ids import PeerId
from p2pgrid.net.link import Link
from p2pgrid.net.peer import Peer
from p2pgrid.net.streams import peer_id_in
from p2pgrid.protocol.messages import Join
from p2pgrid.protocol.paging import pages_of

log = logging.getLogger(__name__)

RENEW_S = 240.0
RETRY_S = 5.0
LONGEST_RETRY_S = 20.0
"""How long a node waits at most to join a network again that is away."""
CALM_S = 60.0
"""A link to a network that ends sooner has not lasted."""
PROMPT_S = 5.0
"""How long a start and a publish wait to be announced; later it goes on in the background."""

NextSequence = Callable[[int], Awaitable[int]]


class Rounds:
    """Calls ``tell`` when asked to and before records expire; sooner after it returned False.

    After each further failure it waits twice as long.
    """

    def __init__(self, tell: Callable[[], Awaitable[bool]]) -> None:
        self._tell = tell
        self._wanted = asyncio.Event()
        self._done = asyncio.Condition()
        self._begun = self._ended = 0

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        retry_s = RETRY_S
        while True:
            self._wanted.clear()
            self._begun += 1
            complete = await self._tell()
            async with self._done:
                self._ended = self._begun
                self._done.notify_all()
            # Nodes that started together need not go on in step.
            wait_s = (RENEW_S if complete else retry_s) * random.uniform(0.75, 1.25)  # noqa: S311
            retry_s = RETRY_S if complete else min(2 * retry_s, LONGEST_RETRY_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), wait_s)

    def soon(self) -> None:
        """Asks for a round that tells what is known now."""
        self._wanted.set()

    async def once_more(self) -> None:
        """Asks for such a round and waits until it has ended."""
        async with self._done:
            needed = self._begun + 1  # the round under way may have signed its records before
            self.soon()
            await self._done.wait_for(lambda: self._ended >= needed)

    async def first(self) -> None:
        """Waits until a round has ended."""
        async with self._done:
            await self._done.wait_for(lambda: self._ended > 0)


class Announcer:
    """Renews the records, puts them on the DHT, and lists the node at its networks.

    Telling the DHT is a hundred questions to other peers. Nodes of one process take ``turns``, and
    rest as long as each took, or they would be deaf to everybody else for minutes after their
    start. Networks, and tags that an owner publishes meanwhile, do not wait for a turn.
    """

    def __init__(
        self,
        peer: Peer,
        book: RecordBook,
        *,
        networks: Sequence[str],
        bootstrap: Sequence[str],
        next_sequence: NextSequence,
        turns: asyncio.Semaphore,
        places: Places | None = None,
    ) -> None:
        self._peer, self._book = peer, book
        self._networks, self._bootstrap = tuple(networks), tuple(bootstrap)
        self._next_sequence, self._turns = next_sequence, turns
        self._places = places
        self._renewing, self._putting = asyncio.Lock(), asyncio.Lock()
        self._to_networks = Rounds(self._tell_networks)
        self._to_dht = Rounds(self._tell_dht)
        self._joined_at: dict[PeerId, float] = {}
        """When each network listed us last, over a link that has not ended."""
        self._pauses_s: dict[PeerId, float] = {}
        """How long to wait before we join a network again if its next link does not last."""
        self._has_joined = False
        self._put_again_at = 0.0
        self._told_tags: set[str] = set()

    async def run(self) -> None:
        """Announces until it is cancelled."""
        await asyncio.gather(self._to_networks.run(), self._to_dht.run())

    async def begin(self) -> None:
        """Signs the records; a relayed node first asks its networks for its addresses."""
        await self.renew()
        if self._places is not None:
            await self._tell_networks()

    async def first_told(self) -> None:
        """Waits a moment until the networks know that the node is there."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._to_networks.first(), PROMPT_S)

    def on_over(self, link: Link) -> None:
        """Joins a network again whose link has ended: it takes us for offline without one.

        At once; but each time that such a link does not last it waits longer, from a second on.
        """
        joined_at = self._joined_at.pop(link.peer, None)
        if joined_at is None:
            return
        lasted = time.monotonic() - joined_at > CALM_S
        pause_s = 0.0 if lasted else self._pauses_s.get(link.peer, 0.0)
        self._pauses_s[link.peer] = min(max(1.0, 2 * pause_s), LONGEST_RETRY_S)
        asyncio.get_running_loop().call_later(pause_s, self._to_networks.soon)

    async def renew(self) -> None:
        """Signs the records anew, without telling anybody yet."""
        async with self._renewing:
            sequence = await self._next_sequence(time.time_ns() // 1_000_000)
            await asyncio.to_thread(self._book.renew, sequence=sequence)  # may be many signatures

    async def promptly(self) -> None:
        """Asks for an announcement of what is known now, and waits a moment for it."""
        telling = [self._to_networks.once_more()]
        if self._untold_tags():
            telling.append(self._put_now())
        try:
            await asyncio.wait_for(asyncio.gather(*telling), PROMPT_S)
        except TimeoutError:
            log.warning("announcing takes long; it goes on in the background")
            self._to_dht.soon()

    async def _tell_networks(self) -> bool:
        if not self._networks or not await self._renewed():
            return not self._networks
        before = self._relayed_at()
        told = await self._join_all()
        if self._relayed_at() != before:  # what was told is not where we are
            self._put_again_at = 0.0
            self._to_dht.soon()
            told = await self._renewed() and await self._join_all()
        return told

    async def _join_all(self) -> bool:
        work = [self._tried("network", self._join, address) for address in self._networks]
        return all(await asyncio.gather(*work))

    def _relayed_at(self) -> tuple[str, ...]:
        return () if self._places is None else self._places.addresses

    async def _tell_dht(self) -> bool:
        async with self._turns:
            begun = time.monotonic()
            told = await self._put_in_order()
            await asyncio.sleep(time.monotonic() - begun)
        return told

    async def _put_now(self) -> None:
        if not await self._put_in_order():
            self._to_dht.soon()

    async def _put_in_order(self) -> bool:
        async with self._putting:
            return await self._renewed() and await self._tried("DHT", self._put)

    async def _renewed(self) -> bool:
        try:
            await self.renew()
        except UnavailableError:
            return False
        return True

    async def _tried(self, whom: str, tell: Callable[..., None], *args: str) -> bool:
        try:
            await asyncio.to_thread(tell, *args)
        except P2PGridError as error:
            log.warning("not announced", extra={"to": whom, "error": type(error).__name__})
            return False
        return True

    def _join(self, address: str) -> None:
        link = self._peer.link_to(peer_id_in(address), (address,))
        self._joined_at[link.peer] = time.monotonic()  # before: it may end as soon as it is done
        node, records = self._book.node_record(), self._book.dataset_records()
        for page, is_last in pages_of(records):
            link.request(Join(node=node, datasets=page, more=not is_last)).result()
        if self._places is not None:
            self._places.take(address, link)

    def _put(self) -> None:
        known = (*self._networks, *self._bootstrap)
        if known and not self._has_joined:  # from then on the DHT keeps its own table
            self._has_joined = self._peer.join(known) > 0
        if time.monotonic() >= self._put_again_at:
            self._told_tags.clear()
            self._peer.put(self._book.signed_node_record())
            self._put_again_at = time.monotonic() + RENEW_S / 2
        for tag in self._untold_tags():
            self._peer.announce(tag)
            self._told_tags.add(tag)

    def _untold_tags(self) -> set[str]:
        return set(self._book.announced_tags()) - self._told_tags

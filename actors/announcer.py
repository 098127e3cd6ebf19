"""Tells the DHT and the networks that this node lives and what it lists, again and again."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from actors.record_book import RecordBook
from p2pgrid.errors import P2PGridError, UnavailableError
from p2pgrid.net.peer import Peer
from p2pgrid.net.streams import peer_id_in
from p2pgrid.protocol.messages import Join

log = logging.getLogger(__name__)

RENEW_S = 240.0
RETRY_S = 5.0
PROMPT_S = 5.0
"""How long a publish waits to be announced; later it goes on in the background."""

NextSequence = Callable[[int], Awaitable[int]]


class Announcer:
    """Renews the records, puts them on the DHT, and lists the node at its networks.

    Telling the DHT is a hundred questions to other peers; nodes of one process share ``turns``, or
    they would keep one another waiting until deadlines pass.
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
    ) -> None:
        self._peer, self._book = peer, book
        self._networks, self._bootstrap = tuple(networks), tuple(bootstrap)
        self._next_sequence, self._turns = next_sequence, turns
        self._wanted = asyncio.Event()
        self._done = asyncio.Condition()
        self._begun = self._ended = 0
        self._has_joined = False
        self._put_again_at = 0.0
        self._told_tags: set[str] = set()

    async def run(self) -> None:
        """Announces when asked to, and before records expire; sooner after a failure."""
        while True:
            self._wanted.clear()
            self._begun += 1
            complete = await self._announce()
            async with self._done:
                self._ended = self._begun
                self._done.notify_all()
            try:
                # Nodes that started together need not go on in step.
                wait_s = (RENEW_S if complete else RETRY_S) * random.uniform(0.75, 1.25)  # noqa: S311
                await asyncio.wait_for(self._wanted.wait(), wait_s)
            except TimeoutError:
                continue

    async def renew(self) -> None:
        """Signs the records anew, without telling anybody yet."""
        self._book.renew(sequence=await self._next_sequence(time.time_ns() // 1_000_000))

    async def promptly(self) -> None:
        """Asks for an announcement of what is known now, and waits a moment for it."""
        async with self._done:
            needed = self._begun + 1  # the round under way may have signed its records before
            self._wanted.set()
            try:
                await asyncio.wait_for(self._done.wait_for(lambda: self._ended >= needed), PROMPT_S)
            except TimeoutError:
                log.warning("announcing takes long; it goes on in the background")

    async def _announce(self) -> bool:
        """One round; True when everybody was told."""
        try:
            await self.renew()
        except UnavailableError:
            return False
        work = [self._tried("network", self._join, address) for address in self._networks]
        return all(await asyncio.gather(self._in_turn(), *work))

    async def _in_turn(self) -> bool:
        async with self._turns:
            return await self._tried("DHT", self._tell_dht)

    async def _tried(self, whom: str, tell: Callable[..., None], *args: str) -> bool:
        try:
            await asyncio.to_thread(tell, *args)
        except P2PGridError as error:
            log.warning("not announced", extra={"to": whom, "error": type(error).__name__})
            return False
        return True

    def _join(self, address: str) -> None:
        link = self._peer.link_to(peer_id_in(address), (address,))
        records = self._book.dataset_records()
        link.request(Join(node=self._book.node_record(), datasets=records)).result()

    def _tell_dht(self) -> None:
        known = (*self._networks, *self._bootstrap)
        if known and not self._has_joined:  # from then on the DHT keeps its own table
            self._has_joined = self._peer.join(known) > 0
        if time.monotonic() >= self._put_again_at:
            self._told_tags.clear()
            self._peer.put(self._book.signed_node_record())
            self._put_again_at = time.monotonic() + RENEW_S / 2
        for tag in set(self._book.announced_tags()) - self._told_tags:
            self._peer.announce(tag)
            self._told_tags.add(tag)

"""The gate of the DHT: only p2pgrid peers are answered, in their turn, or enter the table.

Messages, distances, table and stores are py-libp2p's. Its ``KadDHT`` answers anyone on the public
Kademlia protocol, takes whoever asks into its table, and a question costs it three times as much.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from libp2p.abc import IHost, INetStream
from libp2p.exceptions import BaseLibp2pError
from libp2p.kad_dht.common import PROTOCOL_ID as KAD_PROTOCOL
from libp2p.kad_dht.routing_table import RoutingTable
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from typing_extensions import override

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.net.host import CONTROL_PROTOCOL
from p2pgrid.net.kad_asker import STREAMS_PER_PEER, Asker
from p2pgrid.net.kad_store import KadStore
from p2pgrid.net.kad_stream import KadStream

SERVE_S = 5.0
"""A stream without a first question, or whose question is not answered by then, is cut."""
IDLE_S = 600.0
"""A stream without a further question is cut; it costs its peer a new one."""
TURNS = 12
TURNS_PER_PEER = 2 * STREAMS_PER_PEER
MAX_QUESTION_BYTES = 16 * 1024
"""A record and some addresses; py-libp2p would read 4 MiB."""

# What a peer can do to a stream of its own.
_HUNG_UP = (
    BaseLibp2pError,
    RemoteProtocolError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


class PeerTable(RoutingTable):  # type: ignore[misc]
    """A routing table that holds only peers which told us that they serve p2pgrid's DHT."""

    def __init__(self, host: IHost, asker: Asker) -> None:
        # No limit per subnet: the domains of one institute share one, and what the limit is
        # against, a crowd of forged peers around a key, cannot forge a record.
        super().__init__(host.get_id(), host, max_peers_per_subnet=0)
        self._asker = asker

    @override
    async def add_peer(
        self, peer_obj: PeerInfo | ID, *, skip_server_mode_check: bool = False
    ) -> bool:
        peer = peer_obj.peer_id if isinstance(peer_obj, PeerInfo) else peer_obj
        if not {CONTROL_PROTOCOL, KAD_PROTOCOL} <= self._asker.identified(peer).protocols:
            return False
        return bool(await super().add_peer(peer_obj, skip_server_mode_check=True))


class KadServer:
    """Holds records and tags for others, if it serves; its table and store are there anyway."""

    def __init__(self, host: IHost, asker: Asker, *, serve: bool, now: Callable[[], float]) -> None:
        self.table = PeerTable(host, asker)
        self.store = KadStore(host, self.table, now=now)
        self._asker = asker
        self._turns = trio.CapacityLimiter(TURNS)
        self._turns_of: dict[ID, trio.CapacityLimiter] = {}
        if serve:
            host.set_stream_handler(KAD_PROTOCOL, self.handle_stream)

    async def handle_stream(self, stream: INetStream) -> None:
        """Answers a p2pgrid peer, one question after the other, and resets everybody else."""
        peer = stream.muxed_conn.peer_id
        questions = KadStream(stream, limit=MAX_QUESTION_BYTES)
        try:
            with trio.move_on_after(SERVE_S) as deadline:
                async with self._turn_of(peer):
                    if CONTROL_PROTOCOL in (await self._asker.identify(peer)).protocols:
                        await self.table.add_peer(peer)
                        await self._serve(peer, questions, deadline)
        except _HUNG_UP:
            pass
        finally:
            await questions.reset()

    async def _serve(self, peer: ID, questions: KadStream, deadline: trio.CancelScope) -> None:
        while (question := await questions.receive()) is not None:
            deadline.deadline = trio.current_time() + SERVE_S
            # A stream waits for its next question without a turn.
            async with self._turns:
                answer = self.store.answer(peer, question)
                if answer is None:
                    return
                await questions.send(answer)
            deadline.deadline = trio.current_time() + IDLE_S

    @asynccontextmanager
    async def _turn_of(self, peer: ID) -> AsyncIterator[None]:
        turns = self._turns_of.setdefault(peer, trio.CapacityLimiter(TURNS_PER_PEER))
        try:
            async with turns:
                yield
        finally:
            if not turns.borrowed_tokens and not turns.statistics().tasks_waiting:
                self._turns_of.pop(peer, None)

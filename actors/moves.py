"""Objects that leave for other domains: who asks is checked, every attempt is in the audit log.

A move lasts as long as the request for it is worked on: it ends when the receiver has the value or
refuses it, when the way there is broken for too long, or with the capability of whoever asked. It
goes on when the asking program hangs up, because a session at the receiver may still wait for it.
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakValueDictionary

from actors.datasets import Datasets
from actors.gateway import Answer, LinkSession, require_account, require_objects
from actors.movable import Movables
from actors.ports import AuditEvent, StatePort
from actors.pushing import Destination, Parcel, Pusher
from p2pgrid.config import Limits
from p2pgrid.errors import CapabilityError, MoveNotPermittedError
from p2pgrid.ids import ObjectId, PeerId, public_key_of, short
from p2pgrid.policy.access import Sources
from p2pgrid.policy.moves import MOVE, require_destination, require_move
from p2pgrid.protocol.messages import Account, Done, MoveObject


class Moves:
    """What a domain sends to other domains; to be used on the gateway's event loop."""

    def __init__(
        self,
        *,
        domain: str,
        peer_id: PeerId,
        state: StatePort,
        datasets: Datasets,
        movables: Movables,
        pusher: Pusher,
        limits: Limits,
    ) -> None:
        self._domain, self._peer_id = domain, peer_id
        self._state, self._datasets, self._movables = state, datasets, movables
        self._pusher, self._limits = pusher, limits
        self._turns: WeakValueDictionary[PeerId, asyncio.Semaphore] = WeakValueDictionary()
        self._threads = ThreadPoolExecutor(limits.transfers, thread_name_prefix="p2pgrid-move")

    async def move(self, session: LinkSession, message: MoveObject, _: object) -> Answer:
        """Pushes an object to another domain; answers when that one has all of it."""
        account = require_account(session, message.account, action="moving", domain=self._domain)
        to = require_destination(message.to, own=self._peer_id)
        object_id = ObjectId(message.object_id)
        sources, take = await self._movables.find(session, account, object_id)
        await self._require_move(session, account, object_id, to, sources)
        destination = Destination(to, message.addresses, ObjectId(message.out), message.capability)
        async with self._turn(to):
            await self._audit(session.acting(account), object_id, to, "given")
            await self._push(await take(), destination)
        return Answer(Done())

    def close(self) -> None:
        """Waits for threads whose moves were cancelled."""
        self._threads.shutdown()

    async def _require_move(
        self,
        session: LinkSession,
        account: Account,
        object_id: ObjectId,
        to: PeerId,
        sources: Sources,
    ) -> None:
        allowed = self._datasets.destinations
        try:
            require_objects(session).require(object_id, MOVE)
            _require_within_capability(session, to)
            require_move(account, object_id, to, sources, allowed, domain=self._domain)
        except (CapabilityError, MoveNotPermittedError):
            await self._audit(session.acting(account), object_id, to, "refused")
            raise

    def _turn(self, to: PeerId) -> asyncio.Semaphore:
        """As many moves to one domain at a time as it lets one peer upload."""
        turn = self._turns.get(to) or asyncio.Semaphore(self._limits.peer_transfers)
        self._turns[to] = turn
        return turn

    async def _push(self, parcel: Parcel, to: Destination) -> None:
        stop = threading.Event()
        pushing = self._threads.submit(self._pusher.push, parcel, to, stop)
        pushing.add_done_callback(lambda _: parcel.close())
        try:
            await asyncio.wrap_future(pushing)
        finally:
            stop.set()

    async def _audit(self, who: str, object_id: ObjectId, to: PeerId, outcome: str) -> None:
        target = f"{short(object_id)} to {to}"
        await self._state.audit(AuditEvent(who, MOVE, target, outcome))


def _require_within_capability(session: LinkSession, to: PeerId) -> None:
    """Refuses another destination than a capability by which somebody logged in names."""
    granted = session.granted
    if granted is not None and not granted.rights.scope.allows_to(public_key_of(to)):
        raise CapabilityError(reason="scope", domain=granted.rights.domain)

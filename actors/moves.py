"""Objects that leave for other domains: who asks is checked, every attempt is in the audit log.

A move lasts as long as the request for it is worked on: it ends when the receiver has the value or
refuses it, when the way there is broken for too long, or with the capability of whoever asked. It
goes on when the asking program hangs up, because a session at the receiver may still wait for it.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

from actors.datasets import Datasets
from actors.gateway import Answer, LinkSession, require_account, require_objects
from actors.ports import AuditEvent, StatePort, StorePort
from actors.pushing import Destination, Parcel, Pusher
from actors.transfer import source_of
from p2pgrid.config import Limits
from p2pgrid.errors import CapabilityError, MoveNotPermittedError, ObjectGoneError
from p2pgrid.ids import ObjectId, PeerId, public_key_of, short
from p2pgrid.policy.access import Label
from p2pgrid.policy.moves import require_destination, require_move
from p2pgrid.protocol.arrays import ArrayHeader, header_of, raw_bytes
from p2pgrid.protocol.messages import Account, Done, MoveObject
from p2pgrid.protocol.values import ArrayValue

Taken = TypeVar("Taken")


class Moves:
    """What a domain sends to other domains; to be used on the gateway's event loop."""

    def __init__(
        self,
        *,
        domain: str,
        peer_id: PeerId,
        state: StatePort,
        store: StorePort,
        datasets: Datasets,
        pusher: Pusher,
        limits: Limits,
    ) -> None:
        self._domain, self._peer_id = domain, peer_id
        self._state, self._store, self._datasets = state, store, datasets
        self._pusher, self._limits = pusher, limits
        self._turns: WeakValueDictionary[PeerId, asyncio.Semaphore] = WeakValueDictionary()
        self._threads = ThreadPoolExecutor(limits.transfers, thread_name_prefix="p2pgrid-move")

    async def move(self, session: LinkSession, message: MoveObject, _: object) -> Answer:
        """Pushes an object to another domain; answers when that one has all of it."""
        account = require_account(session, message.account, action="moving", domain=self._domain)
        to = require_destination(message.to, own=self._peer_id)
        object_id = ObjectId(message.object_id)
        label = require_objects(session).find(object_id)
        await self._require_move(session, account, object_id, to, label)
        destination = Destination(to, message.addresses, ObjectId(message.out), message.capability)
        async with self._turn(to):
            await self._audit(session.acting(account), object_id, to, "given")
            await self._push(await self._taken(session, object_id, label), destination)
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
        label: Label,
    ) -> None:
        allowed = self._datasets.destinations
        try:
            self._require_within_capability(session, object_id, to)
            require_move(account, object_id, to, label.sources, allowed, domain=self._domain)
        except (CapabilityError, MoveNotPermittedError):
            await self._audit(session.acting(account), object_id, to, "refused")
            raise

    @staticmethod
    def _require_within_capability(session: LinkSession, object_id: ObjectId, to: PeerId) -> None:
        require_objects(session).require(object_id, "move")
        if session.granted is not None:
            rights = session.granted.rights
            if not rights.scope.allows_to(public_key_of(to)):
                raise CapabilityError(reason="scope", domain=rights.domain)

    def _turn(self, to: PeerId) -> asyncio.Semaphore:
        """As many moves to one domain at a time as it lets one peer upload."""
        turn = self._turns.get(to) or asyncio.Semaphore(self._limits.peer_transfers)
        self._turns[to] = turn
        return turn

    async def _taken(self, session: LinkSession, object_id: ObjectId, label: Label) -> Parcel:
        """What the store has of an object, small or large."""
        if label.meta.nbytes <= self._limits.inline_array:
            array = await self._ask(session, object_id, self._store.get)
            value = ArrayValue(header_of(array, buffer=0))
            return Parcel(object_id, value, (raw_bytes(array),))
        exported = await self._ask(session, object_id, self._store.export)
        header = ArrayHeader(label.meta.dtype.name, label.meta.shape, 0)
        source = source_of(exported, label.meta.nbytes)
        return Parcel(object_id, ArrayValue(header), source=source)

    async def _ask(
        self,
        session: LinkSession,
        object_id: ObjectId,
        ask_store: Callable[[ObjectId], Awaitable[Taken]],
    ) -> Taken:
        try:
            return await ask_store(object_id)
        except KeyError:
            require_objects(session).find(object_id)  # it failed meanwhile: raises why
            raise ObjectGoneError(object_id=short(object_id), domain=self._domain) from None

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
        await self._state.audit(AuditEvent(who, "move", target, outcome))

"""How values leave a domain: who asks is checked, every attempt is in the audit log."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from actors.datasets import Datasets
from actors.gateway import Answer, LinkSession, require_account, require_objects
from actors.ports import AuditEvent, Exported, StatePort, StorePort
from actors.transfer import Holder
from actors.transfers import Transfers
from p2pgrid.errors import CapabilityError, GetNotPermittedError, ObjectGoneError
from p2pgrid.ids import ObjectId, short
from p2pgrid.policy.access import Label, require_get
from p2pgrid.protocol.arrays import Array, header_of, raw_bytes
from p2pgrid.protocol.messages import Account, FetchChunk, Get, OpenDownload, Value

Given = TypeVar("Given", Array, Exported)


class Giving:
    """What a domain lets people take home: in one message, or as a download."""

    def __init__(
        self,
        *,
        domain: str,
        state: StatePort,
        store: StorePort,
        datasets: Datasets,
        transfers: Transfers,
    ) -> None:
        self._domain = domain
        self._state, self._store = state, store
        self._datasets, self._transfers = datasets, transfers

    async def get(self, session: LinkSession, message: Get, _: object) -> Answer:
        """Gives the values of an object."""
        account = require_account(session, message.account, action="get", domain=self._domain)
        object_id = ObjectId(message.object_id)
        await self._require_get(
            session, account, object_id, self._find(session, account, object_id)
        )
        array = await self._given(session, account, object_id, self._store.get)
        return Answer(Value(header_of(array, buffer=0)), (raw_bytes(array),))

    async def open_download(self, session: LinkSession, message: OpenDownload, _: object) -> Answer:
        """Opens what ``get`` would give; a resumption is granted anew, by the first label."""
        account = require_account(session, message.account, action="get", domain=self._domain)
        object_id = ObjectId(message.object_id)
        holder = Holder(session.acting(account), session.link.peer)
        known = self._transfers.download_label(message.transfer_id, holder)
        label = known or self._find(session, account, object_id)
        await self._require_get(session, account, object_id, label)
        opened = await self._transfers.open_download(
            message.transfer_id,
            message.offset,
            label,
            holder,
            lambda: self._given(session, account, object_id, self._store.export),
        )
        return Answer(opened)

    async def give_chunk(self, session: LinkSession, message: FetchChunk, _: object) -> Answer:
        """Gives a chunk of a download on the control stream."""
        require_objects(session)
        chunk, data = await self._transfers.give_chunk(message, session.link.peer)
        return Answer(chunk, (data,))

    def _find(self, session: LinkSession, account: Account, object_id: ObjectId) -> Label:
        """The label of an object; private parts of datasets are there for owners only."""
        part = self._datasets.parts.get(object_id)
        if part is not None and account.role == "owner" and session.granted is None:
            return part
        return require_objects(session).find(object_id)

    async def _require_get(
        self, session: LinkSession, account: Account, object_id: ObjectId, label: Label
    ) -> None:
        allowed = self._datasets.allowed
        try:
            require_objects(session).require(object_id, "get")
            require_get(account, object_id, label.sources, allowed, domain=self._domain)
        except (CapabilityError, GetNotPermittedError):
            await self._audit(session.acting(account), object_id, "refused")
            raise

    async def _given(
        self,
        session: LinkSession,
        account: Account,
        object_id: ObjectId,
        ask_store: Callable[[ObjectId], Awaitable[Given]],
    ) -> Given:
        """What the store gives of an object; it is in the audit log before it leaves."""
        try:
            given = await ask_store(object_id)
        except KeyError:
            require_objects(session).find(object_id)  # it failed meanwhile: raises why
            raise ObjectGoneError(object_id=short(object_id), domain=self._domain) from None
        await self._audit(session.acting(account), object_id, "given")
        return given

    async def _audit(self, who: str, object_id: ObjectId, outcome: str) -> None:
        await self._state.audit(AuditEvent(who, "get", short(object_id), outcome))

"""What a domain answers: users, datasets, operations on pointers, ``get``.

Access is decided here, from labels that never leave this process; the store only carries out what
was admitted, so an operation costs one hop inside the cluster.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import msgspec

from actors.calls import Calls, ClassesByName
from actors.gateway import Answer, Handler, LinkSession, require_account
from actors.meter import Load
from actors.ports import (
    AuditEvent,
    DatasetEntry,
    Exported,
    FailedObject,
    HostsPort,
    StatePort,
    StorePort,
    TensorEntry,
)
from actors.record_book import RecordBook, fitting
from actors.sessions import Sessions
from actors.taking import Taking
from actors.transfer import Holder
from actors.transfers import Transfers
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.errors import (
    DuplicateError,
    GetNotPermittedError,
    ObjectGoneError,
    PublishNotPermittedError,
    RemoteProtocolError,
    TooLargeError,
)
from p2pgrid.ids import DatasetId, ObjectId, short
from p2pgrid.policy.access import Label, require_get, require_owner
from p2pgrid.policy.leases import Lease, Owner
from p2pgrid.policy.objects import PREFIX_BYTES, SessionObjects
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import (
    Array,
    ArrayHeader,
    claimed_bytes,
    dtype_named,
    header_of,
    raw_bytes,
    read_array,
)
from p2pgrid.protocol.messages import (
    TICKS_PER_S,
    Account,
    Accounts,
    CloseTransfer,
    Done,
    Enrol,
    FailedOp,
    Failure,
    FetchChunk,
    Get,
    ListAccounts,
    ListDatasets,
    ListObjects,
    Message,
    Op,
    OpenDownload,
    OpenUpload,
    Operate,
    Operated,
    Publish,
    Published,
    SendChunk,
    Spent,
    Value,
)
from p2pgrid.protocol.operations import ArrayMeta
from p2pgrid.protocol.records import normalise_tag

OnPublished = Callable[[], Awaitable[None]]
Tensors = list[tuple[ObjectId, Array]]
Given = TypeVar("Given", Array, Exported)

_encoder = msgspec.msgpack.Encoder()


class Domain:
    """The requests of a domain; policy is cached here and changed only through here."""

    kind = "domain"

    def __init__(
        self,
        *,
        state: StatePort,
        store: StorePort,
        book: RecordBook,
        transfers: Transfers,
        hosts: HostsPort,
        classes: ClassesByName,
        on_published: OnPublished,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self.name = book.name
        self._state, self._store, self._book = state, store, book
        self._transfers, self._limits = transfers, limits
        self._on_published = on_published
        self._accounts: dict[bytes, Account] = {}
        self._allowed: dict[DatasetId, frozenset[str]] = {}
        self._labels: dict[ObjectId, Label] = {}
        self._entries: dict[DatasetId, DatasetEntry] = {}
        self._sessions = Sessions(
            lambda prefix: SessionObjects(prefix, self._labels, limits=limits, domain=self.name),
            self._drop,
            lease_s=timing.lease_s,
            limits=limits,
        )
        self.calls = Calls(
            domain=self.name, state=state, store=store, hosts=hosts, classes=classes, limits=limits
        )
        taking = Taking(
            self.calls, domain=self.name, state=state, allowed=self._allowed, limits=limits
        )
        self._publishing = asyncio.Lock()
        self.handlers: Mapping[type[Message], Handler] = MappingProxyType(
            {
                Enrol: self._enrol,
                ListAccounts: self._list_accounts,
                ListObjects: self._list_objects,
                ListDatasets: self._list_datasets,
                Publish: self._publish,
                Operate: self._operate,
                Get: self._get,
                OpenUpload: self._open_upload,
                OpenDownload: self._open_download,
                SendChunk: self._take_chunk,
                FetchChunk: self._give_chunk,
                CloseTransfer: self._close_transfer,
                **self.calls.handlers,
                **taking.handlers,
            }
        )

    async def load(self) -> None:
        """Reads the policy; to be called before the first request."""
        self._accounts = {account.public_key: account for account in await self._state.accounts()}
        for entry in await self._state.datasets():
            self._list(entry)
        self._transfers.clean_up(self._labels)

    def account_of(self, public_key: bytes) -> Account | None:
        """The account that this key is enrolled for."""
        return self._accounts.get(public_key)

    def claim(self, owner: Owner, holder: LinkSession) -> Lease:
        """The session that the owner comes back to, or a new one."""
        lease = self._sessions.claim(owner, holder)
        self.calls.open(lease.objects)
        return lease

    def release(self, lease: Lease, holder: LinkSession) -> None:
        """Notes that the link of a session has ended."""
        self._sessions.release(lease, holder)

    def held(self) -> Load:
        """What sessions and the store hold at this moment."""
        return self._sessions.load()._replace(
            store_queue=self._store.waiting, store_restarts=self._store.restarts
        )

    def own_record(self) -> bytes:
        """The domain's signed record."""
        return self._book.node_record()

    async def _drop(self, prefix: bytes) -> None:
        await self.calls.drop(prefix)
        await self._store.drop(prefix)

    def _list(self, entry: DatasetEntry) -> None:
        self._entries[entry.dataset_id] = entry
        self._allowed[entry.dataset_id] = entry.allowed
        for tensor in entry.tensors:
            meta = _meta_of(tensor.dtype, tensor.shape)
            self._labels[tensor.object_id] = Label(meta, frozenset({entry.dataset_id}), True)
        self._book.add(entry)

    async def _enrol(self, session: LinkSession, message: Enrol, _: object) -> Answer:
        owner = require_owner(session.account, action="enrolling users", domain=self.name)
        account = Account(name=message.name, public_key=message.public_key, role=message.role)
        await self._state.enrol(account)
        self._accounts[account.public_key] = account
        await self._state.audit(AuditEvent(owner.name, "enrol", account.name, "done"))
        return Answer(Done())

    async def _list_accounts(self, session: LinkSession, _: ListAccounts, __: object) -> Answer:
        require_owner(session.account, action="listing users", domain=self.name)
        accounts = sorted(self._accounts.values(), key=lambda account: account.name)
        return Answer(Accounts(tuple(accounts)))

    async def _list_objects(self, session: LinkSession, _: ListObjects, __: object) -> Answer:
        require_owner(session.account, action="seeing who holds what", domain=self.name)
        return Answer(self._sessions.holdings(lambda dataset: self._entries[dataset].name))

    async def _list_datasets(self, _: LinkSession, message: ListDatasets, __: object) -> Answer:
        return Answer(fitting(self._book.dataset_records(message.tags)))

    async def _publish(
        self, session: LinkSession, message: Publish, buffers: Sequence[memoryview]
    ) -> Answer:
        owner = self._publisher(session)
        entry = _entry_of(message)
        async with self._publishing:
            if self._entries.get(entry.dataset_id) != entry:
                uploads = self._uploads_of(message, owner)
                await self._store_and_list(entry, _arrays_of(message, buffers), uploads)
                await self._state.audit(AuditEvent(owner.name, "publish", entry.name, "done"))
        await self._on_published()
        return Answer(Published(self._book.dataset_record(entry.dataset_id)))

    def _publisher(self, session: LinkSession) -> Account:
        if session.account is None or session.account.role != "owner":
            raise PublishNotPermittedError(domain=self.name)
        return session.account

    def _uploads_of(self, message: Publish, owner: Account) -> list[ObjectId]:
        """The tensors whose values were sent before, each of them whole."""
        uploads = [tensor for tensor in message.tensors if tensor.uploaded]
        for tensor in uploads:
            meta = _meta_of(tensor.header.dtype, tensor.header.shape)
            self._transfers.require_uploaded(ObjectId(tensor.object_id), meta, owner.name)
        return [ObjectId(tensor.object_id) for tensor in uploads]

    async def _store_and_list(
        self, entry: DatasetEntry, arrays: Tensors, uploads: Sequence[ObjectId]
    ) -> None:
        """Values first, then the catalog: what is listed is whole, whatever happens between."""
        self._check_unused(entry)
        await self._store.put(arrays)
        await self._store.adopt(uploads)
        await self._state.add_dataset(entry)
        self._list(entry)
        self._transfers.adopted(uploads)

    def _check_unused(self, entry: DatasetEntry) -> None:
        names = {other.name for other in self._entries.values()}
        if entry.name in names or entry.dataset_id in self._entries:
            raise DuplicateError(what="dataset", name=entry.name)
        for tensor in entry.tensors:
            if tensor.object_id in self._labels:
                raise DuplicateError(what="tensor id of", name=tensor.name)

    async def _operate(
        self, session: LinkSession, message: Operate, buffers: Sequence[memoryview]
    ) -> Answer:
        started = time.perf_counter()
        require_account(session, "", action="computing", domain=self.name)
        objects = _objects_of(session)
        refused: list[FailedOp] = []
        admitted: list[Op] = []
        sizes = tuple(map(len, buffers))
        for op in message.ops:
            failure = objects.admit(op, sizes)
            if failure is None:
                admitted.append(op)
            else:
                refused.append(FailedOp(out=op.out, failure=failure))
        free = tuple(each for each in message.free if each[:PREFIX_BYTES] == objects.prefix)
        free = self.calls.free(objects.prefix, free)
        for object_id in free:
            objects.free(object_id)
        if refused or len(free) < len(message.free):
            message = Operate(ops=tuple(admitted), free=free)
        handed_on = time.perf_counter()
        done = await self._store.execute(_encoder.encode(message), buffers)
        store_s = time.perf_counter() - handed_on
        refused += self._poisoned(objects, admitted, done.failed)
        spent = _ticks(handed_on - started, store_s - done.ran_s, done.ran_s)
        return Answer(Operated(tuple(refused), spent))

    def _poisoned(
        self, objects: SessionObjects, admitted: Sequence[Op], failed: Sequence[FailedObject]
    ) -> list[FailedOp]:
        """What the store could not do, each with its first cause."""
        ops = {op.out: op for op in admitted} if failed else {}
        return [
            FailedOp(
                out=out,
                failure=objects.poison(
                    out, objects.first_failure(ops[out]) or self._failure(out, reference)
                ),
            )
            for out, reference in failed
        ]

    def _failure(self, out: ObjectId, reference: str) -> Failure:
        if reference:
            return faults.internal(reference)
        gone = ObjectGoneError(object_id=f"that {short(out)} needs", domain=self.name)
        return faults.failure_of(gone)

    async def _get(self, session: LinkSession, message: Get, _: object) -> Answer:
        account = require_account(session, message.account, action="get", domain=self.name)
        object_id = ObjectId(message.object_id)
        await self._require_get(account, object_id, _objects_of(session).find(object_id))
        array = await self._given(session, account, object_id, self._store.get)
        return Answer(Value(header_of(array, buffer=0)), (raw_bytes(array),))

    async def _require_get(self, account: Account, object_id: ObjectId, label: Label) -> None:
        try:
            require_get(account, object_id, label.sources, self._allowed, domain=self.name)
        except GetNotPermittedError:
            await self._audit_get(account, object_id, "refused")
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
            _objects_of(session).find(object_id)  # it failed meanwhile: raises why
            raise ObjectGoneError(object_id=short(object_id), domain=self.name) from None
        await self._audit_get(account, object_id, "given")
        return given

    async def _audit_get(self, account: Account, object_id: ObjectId, outcome: str) -> None:
        await self._state.audit(AuditEvent(account.name, "get", short(object_id), outcome))

    async def _open_upload(self, session: LinkSession, message: OpenUpload, _: object) -> Answer:
        owner = self._publisher(session)
        object_id = ObjectId(message.object_id)
        if object_id in self._labels:
            raise DuplicateError(what="tensor id", name=short(object_id))
        meta = _meta_of(message.dtype, message.shape)
        if meta.nbytes > self._limits.transfer:
            limit = self._limits.transfer
            raise TooLargeError(what="bytes of an array", size=meta.nbytes, limit=limit)
        holder = Holder(owner.name, session.link.peer)
        return Answer(await self._transfers.open_upload(object_id, meta, holder))

    async def _open_download(
        self, session: LinkSession, message: OpenDownload, _: object
    ) -> Answer:
        """Opens what ``get`` would give; a resumption is granted anew, by the first label."""
        account = require_account(session, message.account, action="get", domain=self.name)
        object_id = ObjectId(message.object_id)
        holder = Holder(account.name, session.link.peer)
        known = self._transfers.download_label(message.transfer_id, holder)
        label = known or _objects_of(session).find(object_id)
        await self._require_get(account, object_id, label)
        opened = await self._transfers.open_download(
            message.transfer_id,
            message.offset,
            label,
            holder,
            lambda: self._given(session, account, object_id, self._store.export),
        )
        return Answer(opened)

    async def _take_chunk(
        self, session: LinkSession, message: SendChunk, buffers: Sequence[memoryview]
    ) -> Answer:
        _objects_of(session)
        chunk = _buffer(buffers, 0)
        return Answer(await self._transfers.take_chunk(message, chunk, session.link.peer))

    async def _give_chunk(self, session: LinkSession, message: FetchChunk, _: object) -> Answer:
        _objects_of(session)
        chunk, data = await self._transfers.give_chunk(message, session.link.peer)
        return Answer(chunk, (data,))

    async def _close_transfer(
        self, session: LinkSession, message: CloseTransfer, _: object
    ) -> Answer:
        await self._transfers.close(message.transfer_id, session.link.peer)
        return Answer(Done())


def _objects_of(session: LinkSession) -> SessionObjects:
    if session.objects is None:
        raise RemoteProtocolError("objects are for those who logged in")
    return session.objects


def _ticks(*seconds: float) -> Spent:
    """Rounded, so that a client learns no more of the domain than a round trip tells."""
    return Spent(*(max(0, round(part * TICKS_PER_S)) for part in seconds))


def _arrays_of(message: Publish, buffers: Sequence[memoryview]) -> Tensors:
    return [
        (
            ObjectId(tensor.object_id),
            read_array(tensor.header, _buffer(buffers, tensor.header.buffer)),
        )
        for tensor in message.tensors
        if not tensor.uploaded
    ]


def _meta_of(dtype: str, shape: tuple[int, ...]) -> ArrayMeta:
    """What a peer says of an array.

    Raises:
        DtypeError, RemoteProtocolError: there is no such array.
    """
    claimed_bytes(ArrayHeader(dtype, shape, 0))
    return ArrayMeta(shape, dtype_named(dtype))


def _buffer(buffers: Sequence[memoryview], number: int) -> memoryview:
    if number >= len(buffers):
        raise RemoteProtocolError(f"buffer {number} was named, {len(buffers)} came")
    return buffers[number]


def _entry_of(message: Publish) -> DatasetEntry:
    tensors = tuple(
        TensorEntry(ObjectId(new.object_id), new.name, new.header.dtype, new.header.shape)
        for new in message.tensors
    )
    return DatasetEntry(
        DatasetId(message.dataset_id),
        message.name,
        message.description,
        tuple(normalise_tag(tag) for tag in message.tags),
        frozenset(message.allowed),
        message.announce,
        tensors,
    )

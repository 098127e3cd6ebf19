"""How datasets come into a domain: large tensors are uploaded first, then ``Publish`` lists all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from actors.datasets import Datasets, meta_of
from actors.entries import entry_of, is_same, objects_of, part_of, require_fitting
from actors.gateway import Answer, LinkSession
from actors.ports import AuditEvent, DatasetEntry, StatePort, StorePort
from actors.record_book import RecordBook
from actors.transfer import Holder
from actors.transfers import Transfers
from p2pgrid.config import Limits
from p2pgrid.errors import (
    DuplicateError,
    ObjectGoneError,
    PublishNotPermittedError,
    RemoteProtocolError,
    TooLargeError,
    UnfitValuesError,
)
from p2pgrid.ids import DatasetId, ObjectId, short
from p2pgrid.policy.access import require_owner
from p2pgrid.protocol.arrays import Array, read_array
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.messages import (
    Account,
    AskEntitySecret,
    EntitySecret,
    ListParts,
    NewPart,
    NewTensor,
    OpenUpload,
    Parts,
    Publish,
    Published,
    SendChunk,
)

OnPublished = Callable[[], Awaitable[None]]
Arrays = list[tuple[ObjectId, Array]]


class Publishing:
    """The publications of a domain's owners, one at a time."""

    def __init__(
        self,
        *,
        state: StatePort,
        store: StorePort,
        book: RecordBook,
        datasets: Datasets,
        transfers: Transfers,
        on_published: OnPublished,
        limits: Limits,
        entity_secret: bytes,
    ) -> None:
        self._domain, self._entity_secret = book.name, entity_secret
        self._state, self._store, self._book = state, store, book
        self._datasets, self._transfers = datasets, transfers
        self._on_published, self._limits = on_published, limits
        self._turn = asyncio.Lock()

    async def publish(
        self, session: LinkSession, message: Publish, buffers: Sequence[memoryview]
    ) -> Answer:
        """Stores and lists a dataset; the same again changes nothing."""
        owner = self._publisher(session)
        entry = entry_of(message)
        require_fitting(entry)
        async with self._turn:
            if not is_same(self._datasets.entries.get(entry.dataset_id), entry):
                arrays, uploads = _arrays_of(message, buffers), self._uploads_of(message, owner)
                listed = self._next(entry)
                try:
                    await self._store_and_list(listed, arrays, uploads)
                except UnfitValuesError:
                    await self._drop(owner, entry, uploads)
                    raise
                await self._state.audit(AuditEvent(owner.name, "publish", entry.name, "done"))
        await self._on_published()
        return Answer(Published(self._book.dataset_record(entry.dataset_id)))

    async def give_entity_secret(
        self, session: LinkSession, _: AskEntitySecret, __: object
    ) -> Answer:
        """Tells an owner the key of which ids of entities are made; see ``entity_ids``."""
        self._publisher(session)
        return Answer(EntitySecret(self._entity_secret))

    async def list_parts(self, session: LinkSession, message: ListParts, _: object) -> Answer:
        """Tells an owner which private parts a dataset has."""
        owner = require_owner(
            session.account, action="reading what is private of a dataset", domain=self._domain
        )
        entry = self._datasets.entries.get(DatasetId(message.dataset_id))
        if entry is None:
            raise ObjectGoneError(
                object_id=f"dataset {short(message.dataset_id)}", domain=self._domain
            )
        await self._state.audit(AuditEvent(owner.name, "list-parts", entry.name, "given"))
        return Answer(Parts(tuple(map(part_of, entry.parts))))

    async def open_upload(self, session: LinkSession, message: OpenUpload, _: object) -> Answer:
        """Begins or resumes the upload of a tensor that no dataset has yet."""
        owner = self._publisher(session)
        object_id = ObjectId(message.object_id)
        if self._datasets.has(object_id):
            raise DuplicateError(what="tensor id", name=short(object_id))
        meta = meta_of(message.dtype, message.shape)
        if meta.nbytes > self._limits.transfer:
            limit = self._limits.transfer
            raise TooLargeError(what="bytes of an array", size=meta.nbytes, limit=limit)
        holder = Holder(owner.name, session.link.peer)
        return Answer(await self._transfers.open_upload(object_id, meta, holder))

    async def take_chunk(
        self, session: LinkSession, message: SendChunk, buffers: Sequence[memoryview]
    ) -> Answer:
        """Takes a chunk of an upload from the control stream; only its own peer has it."""
        chunk = _buffer(buffers, 0)
        return Answer(await self._transfers.take_chunk(message, chunk, session.link.peer))

    def _publisher(self, session: LinkSession) -> Account:
        if session.account is None or session.account.role != "owner":
            raise PublishNotPermittedError(domain=self._domain)
        return session.account

    def _uploads_of(self, message: Publish, owner: Account) -> list[ObjectId]:
        """The tensors whose values were sent before, each of them whole."""
        uploads = [new for new in _news(message) if new.uploaded]
        for new in uploads:
            meta = meta_of(new.header.dtype, new.header.shape)
            self._transfers.require_uploaded(ObjectId(new.object_id), meta, owner.name)
        return [ObjectId(new.object_id) for new in uploads]

    def _next(self, entry: DatasetEntry) -> DatasetEntry:
        """The entry as the next version of its name, when it can be listed."""
        self._datasets.require_unused(entry)
        version = max(entry.version, self._datasets.next_version(entry.name))
        budget = None if entry.schema is None else UserBudget()  # stands for the one to come
        following = entry._replace(version=version, uploaded=int(time.time()), budget=budget)
        self._book.require_room(following)
        return following

    async def _store_and_list(
        self, entry: DatasetEntry, arrays: Arrays, uploads: Sequence[ObjectId]
    ) -> None:
        """Values first, then the catalog: what is listed is whole, whatever happens between."""
        await self._store.put(arrays)
        await self._store.adopt(uploads)
        if entry.schema is not None:
            entry = entry._replace(budget=await self._store.examine(entry))
        await self._state.add_dataset(entry)
        self._datasets.add(entry)
        self._transfers.adopted(uploads)

    async def _drop(self, owner: Account, entry: DatasetEntry, uploads: Sequence[ObjectId]) -> None:
        """Leaves nothing of a dataset whose values were refused."""
        await self._state.audit(AuditEvent(owner.name, "publish", entry.name, "refused"))
        await self._store.discard(objects_of(entry))
        self._transfers.adopted(uploads)


def _news(message: Publish) -> tuple[NewTensor | NewPart, ...]:
    return (*message.tensors, *message.parts)


def _arrays_of(message: Publish, buffers: Sequence[memoryview]) -> Arrays:
    return [
        (ObjectId(new.object_id), read_array(new.header, _buffer(buffers, new.header.buffer)))
        for new in _news(message)
        if not new.uploaded
    ]


def _buffer(buffers: Sequence[memoryview], number: int) -> memoryview:
    if number >= len(buffers):
        raise RemoteProtocolError(f"buffer {number} was named, {len(buffers)} came")
    return buffers[number]

"""How datasets come into a domain: large tensors are uploaded first, then ``Publish`` lists all."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from actors.datasets import Datasets, meta_of
from actors.gateway import Answer, LinkSession
from actors.ports import AuditEvent, DatasetEntry, StatePort, StorePort, TensorEntry
from actors.record_book import RecordBook
from actors.transfer import Holder
from actors.transfers import Transfers
from p2pgrid.config import Limits
from p2pgrid.errors import (
    DuplicateError,
    PublishNotPermittedError,
    RemoteProtocolError,
    TooLargeError,
)
from p2pgrid.ids import DatasetId, ObjectId, PeerId, short
from p2pgrid.protocol.arrays import Array, read_array
from p2pgrid.protocol.messages import Account, OpenUpload, Publish, Published, SendChunk
from p2pgrid.protocol.records import normalise_tag

OnPublished = Callable[[], Awaitable[None]]
Tensors = list[tuple[ObjectId, Array]]


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
    ) -> None:
        self._domain = book.name
        self._state, self._store, self._book = state, store, book
        self._datasets, self._transfers = datasets, transfers
        self._on_published, self._limits = on_published, limits
        self._turn = asyncio.Lock()

    async def publish(
        self, session: LinkSession, message: Publish, buffers: Sequence[memoryview]
    ) -> Answer:
        """Stores and lists a dataset; the same again changes nothing."""
        owner = self._publisher(session)
        entry = _entry_of(message)
        async with self._turn:
            if self._datasets.entries.get(entry.dataset_id) != entry:
                uploads = self._uploads_of(message, owner)
                await self._store_and_list(entry, _arrays_of(message, buffers), uploads)
                await self._state.audit(AuditEvent(owner.name, "publish", entry.name, "done"))
        await self._on_published()
        return Answer(Published(self._book.dataset_record(entry.dataset_id)))

    async def open_upload(self, session: LinkSession, message: OpenUpload, _: object) -> Answer:
        """Begins or resumes the upload of a tensor that no dataset has yet."""
        owner = self._publisher(session)
        object_id = ObjectId(message.object_id)
        if object_id in self._datasets.labels:
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
        uploads = [tensor for tensor in message.tensors if tensor.uploaded]
        for tensor in uploads:
            meta = meta_of(tensor.header.dtype, tensor.header.shape)
            self._transfers.require_uploaded(ObjectId(tensor.object_id), meta, owner.name)
        return [ObjectId(tensor.object_id) for tensor in uploads]

    async def _store_and_list(
        self, entry: DatasetEntry, arrays: Tensors, uploads: Sequence[ObjectId]
    ) -> None:
        """Values first, then the catalog: what is listed is whole, whatever happens between."""
        self._datasets.require_unused(entry)
        await self._store.put(arrays)
        await self._store.adopt(uploads)
        await self._state.add_dataset(entry)
        self._datasets.add(entry)
        self._transfers.adopted(uploads)


def _arrays_of(message: Publish, buffers: Sequence[memoryview]) -> Tensors:
    return [
        (
            ObjectId(tensor.object_id),
            read_array(tensor.header, _buffer(buffers, tensor.header.buffer)),
        )
        for tensor in message.tensors
        if not tensor.uploaded
    ]


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
        frozenset(map(PeerId, message.allowed_domains)),
    )

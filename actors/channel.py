"""The channel between gateway and store: one Unix socket, requests and answers in order.

Both are actors of the same node; a Ray call between them would take most of the time of a small
operation. The socket lies in the node's own directory, which nobody else may enter, and it carries
the same typed, bounded bytes as the network does: nothing is pickled here either.
"""

import asyncio
import logging
import secrets
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from actors.frames import SIZES, chunks_of, read_exactly, split
from actors.logs import current_request
from actors.ports import DatasetEntry, Executed, Exported, FailedObject
from actors.store import Store
from p2pgrid.errors import DiskFullError, InternalError, UnavailableError, UnfitValuesError
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.arrays import Array, ArrayHeader, header_of, raw_bytes, read_array
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.malformed import MALFORMED

log = logging.getLogger(__name__)


class Put(Struct, tag="put", array_like=True):
    """Keep tensors; their values are the buffers."""

    tensors: list[tuple[bytes, ArrayHeader]]


class Execute(Struct, tag="execute", array_like=True):
    """Carry out an encoded ``Operate``; the buffers are its arrays."""

    operations: bytes


class Fetch(Struct, tag="fetch", array_like=True):
    """Give the values of an object."""

    object_id: bytes


class Adopt(Struct, tag="adopt", array_like=True):
    """Take drafts of tensors over."""

    object_ids: list[bytes]


class Examine(Struct, tag="examine", array_like=True):
    """Hold the values of a dataset against its schema."""

    entry: DatasetEntry


class Discard(Struct, tag="discard", array_like=True):
    """Remove tensors that no dataset names."""

    object_ids: list[bytes]


class Export(Struct, tag="export", array_like=True):
    """Give the values of an object as a file."""

    object_id: bytes


class Drop(Struct, tag="drop", array_like=True):
    """Forget the objects of a session."""

    prefix: bytes


class Done(Struct, tag="done", array_like=True):
    """Done, but for these operations and their references."""

    failed: list[tuple[bytes, str]] = []
    ran_s: float = 0.0


class Fetched(Struct, tag="fetched", array_like=True):
    """The values are the only buffer."""

    header: ArrayHeader


class File(Struct, tag="file", array_like=True):
    """The values are in a file; see ``ports.Exported``."""

    path: str
    start: int
    is_temporary: bool


class Examined(Struct, tag="examined", array_like=True):
    """The values fit; the worst of the entities' budgets."""

    budget: UserBudget


class Unfit(Struct, tag="unfit", array_like=True):
    """They do not; see ``UnfitValuesError``."""

    what: str
    problem: str


class Full(Struct, tag="full", array_like=True):
    """The disk has no room."""

    needed: int
    free: int


class Missing(Struct, tag="missing", array_like=True):
    """There is no such object."""


class Broken(Struct, tag="broken", array_like=True):
    """The store failed on its own mistake; its log has the cause under this reference."""

    reference: str


Request = Put | Execute | Fetch | Adopt | Examine | Discard | Export | Drop
Answer = Done | Fetched | File | Examined | Unfit | Full | Missing | Broken

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(tuple[Request, list[int], str])
_answers = msgspec.msgpack.Decoder(tuple[Answer, list[int]])


def _pack(message: Request | Answer, buffers: Sequence[Buffer], *more: str) -> list[Buffer]:
    header = _encoder.encode((message, [len(buffer) for buffer in buffers], *more))
    return chunks_of(header, buffers)


class StoreServer:
    """Serves a store to one gateway at a time; a new gateway finds no old sessions."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve_all, name="p2pgrid-store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops to listen; the gateway that is connected now is served until it hangs up."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve_all(self) -> None:
        while True:
            try:
                gateway, _ = self._listener.accept()
            except OSError:  # closed
                return
            self._store.drop_all()
            with gateway, gateway.makefile("rb") as incoming:
                try:
                    self._serve(gateway, incoming)
                except (EOFError, ConnectionError):
                    current_request.set("")
                    log.info("the gateway hung up")
                except MALFORMED:
                    log.exception("the gateway sent no request")

    def _serve(self, gateway: socket.socket, incoming: BinaryIO) -> None:
        while True:
            header_size, body_size = SIZES.unpack(read_exactly(incoming, SIZES.size))
            request, sizes, request_id = _requests.decode(read_exactly(incoming, header_size))
            current_request.set(request_id)
            buffers = split(memoryview(read_exactly(incoming, body_size)), sizes)
            for chunk in _pack(*self._answer(request, buffers)):
                gateway.sendall(chunk)

    def _answer(
        self, request: Request, buffers: Sequence[memoryview]
    ) -> tuple[Answer, Sequence[Buffer]]:
        try:
            return self._carry_out(request, buffers)
        except KeyError:
            return Missing(), ()
        except DiskFullError as error:
            return Full(error.needed, error.free), ()
        except UnfitValuesError as error:
            return Unfit(error.what, error.problem), ()
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("request failed", extra={"reference": reference})
            return Broken(reference), ()

    def _carry_out(
        self, request: Request, buffers: Sequence[memoryview]
    ) -> tuple[Answer, Sequence[Buffer]]:
        match request:
            case Execute():
                done = self._store.execute(request.operations, buffers)
                return Done([(out, reference) for out, reference in done.failed], done.ran_s), ()
            case Fetch():
                array = self._store.get(ObjectId(request.object_id))
                return Fetched(header_of(array, buffer=0)), (raw_bytes(array),)
            case Put():
                self._store.put(
                    [
                        (ObjectId(object_id), read_array(header, buffers[header.buffer]))
                        for object_id, header in request.tensors
                    ]
                )
            case Export():
                path, start, is_temporary = self._store.export(ObjectId(request.object_id))
                return File(str(path), start, is_temporary), ()
            case Adopt():
                self._store.adopt([ObjectId(object_id) for object_id in request.object_ids])
            case Examine():
                return Examined(self._store.examine(request.entry)), ()
            case Discard():
                self._store.discard([ObjectId(object_id) for object_id in request.object_ids])
            case Drop():
                self._store.drop(request.prefix)
        return Done(), ()


class ChannelStore:
    """``StorePort`` over the socket; what is written first is carried out first.

    ``until_up`` waits until the store has started (again). A call that was under way when the
    store died gets ``UnavailableError``; the next one connects again.
    """

    def __init__(self, path: Path, *, name: str, until_up: Callable[[], Awaitable[object]]) -> None:
        self._path, self._name, self._until_up = path, name, until_up
        self._order = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connects = 0
        self._waiting: deque[asyncio.Future[tuple[Answer, list[memoryview]]]] = deque()

    @property
    def waiting(self) -> int:
        """See ``StorePort``."""
        return len(self._waiting)

    @property
    def restarts(self) -> int:
        """See ``StorePort``."""
        return max(0, self._connects - 1)

    async def put(self, tensors: Sequence[tuple[ObjectId, Array]]) -> None:
        """See ``StorePort``."""
        headers = [
            (object_id, header_of(array, buffer=number))
            for number, (object_id, array) in enumerate(tensors)
        ]
        await self._ask(Put(list(headers)), [raw_bytes(array) for _, array in tensors])

    async def execute(self, operations: bytes, buffers: Sequence[Buffer]) -> Executed:
        """See ``StorePort``."""
        answer, _ = await self._ask(Execute(operations), buffers)
        done = answer if isinstance(answer, Done) else Done()
        failed = (FailedObject(ObjectId(out), reference) for out, reference in done.failed)
        return Executed(tuple(failed), done.ran_s)

    async def get(self, object_id: ObjectId) -> Array:
        """See ``StorePort``."""
        answer, buffers = await self._ask(Fetch(object_id))
        if not isinstance(answer, Fetched):
            raise KeyError(object_id)
        return read_array(answer.header, buffers[0])

    async def adopt(self, object_ids: Sequence[ObjectId]) -> None:
        """See ``StorePort``."""
        await self._ask(Adopt(list(object_ids)))

    async def examine(self, entry: DatasetEntry) -> UserBudget:
        """See ``StorePort``."""
        answer, _ = await self._ask(Examine(entry))
        if not isinstance(answer, Examined):
            raise KeyError(entry.dataset_id)
        return answer.budget

    async def discard(self, object_ids: Sequence[ObjectId]) -> None:
        """See ``StorePort``."""
        await self._ask(Discard(list(object_ids)))

    async def export(self, object_id: ObjectId) -> Exported:
        """See ``StorePort``."""
        answer, _ = await self._ask(Export(object_id))
        if not isinstance(answer, File):
            raise KeyError(object_id)
        return Exported(Path(answer.path), answer.start, answer.is_temporary)

    async def drop(self, prefix: bytes) -> None:
        """See ``StorePort``."""
        await self._ask(Drop(prefix))

    def close(self) -> None:
        """Hangs up."""
        if self._reading is not None:
            self._reading.cancel()

    async def _ask(
        self, request: Request, buffers: Sequence[Buffer] = ()
    ) -> tuple[Answer, list[memoryview]]:
        future: asyncio.Future[tuple[Answer, list[memoryview]]]
        future = asyncio.get_running_loop().create_future()
        async with self._order:  # first come, first written, also while it connects
            writer = self._writer or await self._connect()
            self._waiting.append(future)
            writer.writelines(_pack(request, buffers, current_request.get()))
        answer, parts = await future
        if isinstance(answer, Broken):
            raise InternalError(reference=answer.reference)
        if isinstance(answer, Full):
            raise DiskFullError(needed=answer.needed, free=answer.free)
        if isinstance(answer, Unfit):
            raise UnfitValuesError(what=answer.what, problem=answer.problem)
        return answer, parts

    async def _connect(self) -> asyncio.StreamWriter:
        await self._until_up()
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise UnavailableError(domain=self._name) from error
        self._connects += 1
        self._writer = writer
        self._reading = asyncio.create_task(self._read(reader, writer))
        return writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                sizes = SIZES.unpack(await reader.readexactly(SIZES.size))
                header, body = [await reader.readexactly(size) for size in sizes]
                answer, parts = _answers.decode(header)
                future = self._waiting.popleft()
                if not future.cancelled():
                    future.set_result((answer, split(memoryview(body), parts)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the store died
        except MALFORMED:
            log.exception("the store sent no answer")
        finally:
            self._writer = None
            writer.close()
            self._end_all()

    def _end_all(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.cancelled():
                future.set_exception(UnavailableError(domain=self._name))

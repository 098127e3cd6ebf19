"""All large arrays on their way in and out of a domain: which are open, and how they end.

Nothing here decides about access; ``domain`` asks for what it has granted.

Rule 1: an upload is a draft in the directory of objects until a dataset names it; then the store
takes it over. Rule 2: whatever is not finished is removed: by whoever opened it, after
``transfer_idle_s`` without a sign of life, or at the next start. Rule 3: at most one thread works
on a transfer; a new ticket or a chunk on the control stream ends the connection before it.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from actors.ports import Exported
from actors.store import SPOOL, tensor_file
from actors.transfer import Download, Holder, Upload
from p2pgrid.config import Limits, Timing
from p2pgrid.errors import BusyError, DuplicateError, ObjectGoneError
from p2pgrid.ids import ObjectId, PeerId, short
from p2pgrid.net.bulk_files import DRAFT
from p2pgrid.net.bulk_server import BulkServer
from p2pgrid.policy.access import Label
from p2pgrid.protocol.bulk import digest_of
from p2pgrid.protocol.messages import Chunk, Durable, FetchChunk, Opened, SendChunk
from p2pgrid.protocol.operations import ArrayMeta

Kind = TypeVar("Kind", Upload, Download)

MOST = 1024
"""Open transfers, with finished uploads that no dataset names yet."""


class Transfers:
    """The open transfers of a domain; to be used on the gateway's event loop."""

    def __init__(
        self,
        directory: Path,
        *,
        server: BulkServer | None,
        name: str,
        limits: Limits,
        timing: Timing,
    ) -> None:
        self._directory, self._server, self._name = directory, server, name
        self._limits, self._timing = limits, timing
        self._open: dict[bytes, Upload | Download] = {}
        self._listed: Callable[[], Collection[ObjectId]] | None = None
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    def clean_up(self, listed: Callable[[], Collection[ObjectId]]) -> None:
        """Removes what earlier processes left behind; to be called before the first request.

        Args:
            listed: the arrays that datasets name; looked at again at each ``sweep``.
        """
        self._listed = listed
        for path in (*(self._directory / SPOOL).glob("*"), *self._directory.glob(f"*{DRAFT}")):
            path.unlink(missing_ok=True)  # the store may just have given it its name
        self._remove_orphans(listed())

    async def open_upload(self, object_id: ObjectId, meta: ArrayMeta, holder: Holder) -> Opened:
        """Begins an upload, or resumes it.

        Raises:
            DuplicateError: the id is used for something else.
            DiskFullError: there is no room.
            BusyError: too many transfers are open.
        """
        async with self._lock(object_id):
            upload = self._open.get(object_id)
            if upload is None:
                await self._make_room(holder.peer)
                path = tensor_file(self._directory, object_id)
                spare = self._limits.disk_spare
                upload = await asyncio.to_thread(Upload, path, meta, holder, spare=spare)
                self._open[object_id] = upload
            if not isinstance(upload, Upload) or not _is_of(upload, holder) or upload.meta != meta:
                raise DuplicateError(what="upload", name=short(object_id))
            return await self._resume(object_id, upload, holder, 0)

    def download_label(self, transfer_id: bytes, holder: Holder) -> Label | None:
        """The label of what an account takes home already under this id."""
        download = self._open.get(transfer_id)
        if isinstance(download, Download) and _is_of(download, holder):
            return download.label
        return None

    async def open_download(
        self,
        transfer_id: bytes,
        offset: int,
        label: Label,
        holder: Holder,
        export: Callable[[], Awaitable[Exported]],
    ) -> Opened:
        """Begins a download that was granted, or resumes it.

        Raises:
            DuplicateError: the id is used for something else.
            BusyError: too many transfers are open.
        """
        async with self._lock(transfer_id):
            download = self._open.get(transfer_id)
            if download is None:
                await self._make_room(holder.peer)
                download = Download(await export(), label, holder)
                self._open[transfer_id] = download
            if not isinstance(download, Download) or not _is_of(download, holder):
                raise DuplicateError(what="download", name=short(transfer_id))
            return await self._resume(transfer_id, download, holder, offset)

    async def take_chunk(self, message: SendChunk, chunk: memoryview, peer: PeerId) -> Durable:
        """Takes a chunk of an upload from the control stream."""
        async with self._lock(message.transfer_id):
            upload = self._find(Upload, message.transfer_id, peer)
            await self._end_connection(message.transfer_id)
            durable = await asyncio.to_thread(upload.take, message.offset, message.digest, chunk)
            return Durable(durable)

    async def give_chunk(self, message: FetchChunk, peer: PeerId) -> tuple[Chunk, bytes]:
        """A chunk of a download for the control stream."""
        async with self._lock(message.transfer_id):
            download = self._find(Download, message.transfer_id, peer)
            await self._end_connection(message.transfer_id)
            chunk = await asyncio.to_thread(download.give, message.offset)
            return Chunk(message.offset, digest_of(chunk)), chunk

    def require_uploaded(self, object_id: ObjectId, meta: ArrayMeta, account: str) -> None:
        """Checks that an account has uploaded an array whole.

        Raises:
            ObjectGoneError: it has not, or so long ago that it was removed.
        """
        upload = self._open.get(object_id)
        is_there = isinstance(upload, Upload) and upload.is_finished and upload.meta == meta
        if upload is None or not is_there or upload.holder.account != account:
            raise ObjectGoneError(object_id=f"upload {short(object_id)}", domain=self._name)

    def is_open(self, transfer_id: bytes) -> bool:
        """True until a transfer has ended, or a dataset or a deposit has taken it over."""
        return transfer_id in self._open

    def take_out(self, object_id: ObjectId) -> Exported:
        """The bytes of a whole upload; the file is the caller's from here on."""
        upload = self._open.pop(object_id)
        if not isinstance(upload, Upload):
            raise TypeError(f"{short(object_id)} is no upload")
        return upload.take_out(self._directory / SPOOL / secrets.token_hex(16))

    def adopted(self, object_ids: Iterable[ObjectId]) -> None:
        """Notes that datasets name these uploads."""
        for object_id in object_ids:
            upload = self._open.pop(object_id)
            if isinstance(upload, Upload):
                upload.leave()

    async def close(self, transfer_id: bytes, peer: PeerId) -> None:
        """Ends a transfer of a peer; what is not there is closed already."""
        transfer = self._open.get(transfer_id)
        if transfer is not None and transfer.holder.peer == peer:
            await self._close(transfer_id)

    async def run(self) -> None:
        """Looks after the transfers, until cancelled."""
        while True:
            await asyncio.sleep(self._timing.transfer_idle_s / 4)
            await self.sweep()

    async def sweep(self) -> None:
        """Removes the transfers of peers that have moved nothing for too long."""
        idle_s = self._timing.transfer_idle_s
        active = {it.holder.peer for key, it in self._open.items() if not self._rests(key, idle_s)}
        for transfer_id, transfer in tuple(self._open.items()):
            if transfer.holder.peer not in active:
                await self._close(transfer_id)
        if self._listed is not None:
            await asyncio.to_thread(self._remove_orphans, frozenset(self._listed()))

    async def end_of(self, peer: PeerId) -> None:
        """Ends the transfers of a peer that has lost its rights."""
        for transfer_id, transfer in tuple(self._open.items()):
            if transfer.holder.peer == peer:
                await self._close(transfer_id)

    async def close_all(self) -> None:
        """Ends all transfers, at the end of the node."""
        for transfer_id in tuple(self._open):
            await self._close(transfer_id)

    def _remove_orphans(self, listed: Collection[ObjectId]) -> None:
        """Files that no dataset names; a young one may be of a publication under way."""
        kept = {tensor_file(self._directory, object_id) for object_id in listed}
        for path in self._directory.glob("*.npy*"):
            with contextlib.suppress(FileNotFoundError):
                is_old = path.stat().st_ctime < time.time() - self._timing.orphan_s
                if is_old and path not in kept and path.suffix != DRAFT:
                    path.unlink()

    def _lock(self, transfer_id: bytes) -> asyncio.Lock:
        lock = self._locks.get(transfer_id) or asyncio.Lock()
        self._locks[transfer_id] = lock
        return lock

    def _find(self, kind: type[Kind], transfer_id: bytes, peer: PeerId) -> Kind:
        transfer = self._open.get(transfer_id)
        if not isinstance(transfer, kind) or transfer.holder.peer != peer:
            raise ObjectGoneError(object_id=f"transfer {short(transfer_id)}", domain=self._name)
        return transfer

    async def _resume(
        self, transfer_id: bytes, transfer: Upload | Download, holder: Holder, offset: int
    ) -> Opened:
        transfer.holder = holder
        transfer.touched_at = time.monotonic()
        await self._end_connection(transfer_id)
        start = await asyncio.to_thread(transfer.rewind, offset)
        ticket = None
        if self._server is not None and start < transfer.size:
            ticket = self._server.issue(holder.peer, transfer_id, transfer.work)
        return Opened(size=transfer.size, offset=start, ticket=ticket)

    async def _end_connection(self, transfer_id: bytes) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.revoke, transfer_id)

    async def _make_room(self, peer: PeerId) -> None:
        """Gives up transfers that rest, the longest first, when there are too many.

        Raises:
            BusyError: none of them rests.
        """
        bounds = ((peer, self._limits.peer_transfers), (None, self._limits.transfers))
        for whose, limit in bounds:
            pending = [
                (transfer.touched_at, transfer_id)
                for transfer_id, transfer in self._open.items()
                if not transfer.is_finished and whose in {None, transfer.holder.peer}
            ]
            if len(pending) >= limit:
                _, oldest = min(pending)
                if not self._rests(oldest, self._timing.stall_s):
                    raise BusyError(limit=limit)
                await self._close(oldest)
        if len(self._open) >= MOST:
            raise BusyError(limit=MOST)

    def _rests(self, transfer_id: bytes, rest_s: float) -> bool:
        is_at_work = self._server is not None and self._server.is_at_work(transfer_id)
        transfer = self._open.get(transfer_id)
        return transfer is not None and not is_at_work and transfer.rested_s >= rest_s

    async def _close(self, transfer_id: bytes) -> None:
        async with self._lock(transfer_id):
            await self._end_connection(transfer_id)
            transfer = self._open.pop(transfer_id, None)
            if transfer is not None:
                transfer.close()


def _is_of(transfer: Upload | Download, holder: Holder) -> bool:
    """The same account, perhaps on another link."""
    return transfer.holder.account == holder.account

"""Values that come from other domains, for calls of exported actors that wait for them.

A session here lets one other domain deposit one value under one name: by a capability whose
audience is that domain's key, which the transport has proved. So nobody logs in, and the other
domain learns nothing from us but whether we have the value. A capability is good for one deposit.

What has come is private: its source is the other domain, which is no dataset of ours.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec

from actors.capabilities import Capabilities, Granted
from actors.gateway import Answer, LinkSession, require_objects
from actors.host_channel import FileArray
from actors.ports import AuditEvent, StatePort
from actors.results import Arrays, Result, Results
from actors.sessions import Sessions
from actors.transfer import Holder
from actors.transfers import Transfers
from p2pgrid.errors import (
    CapabilityError,
    DuplicateError,
    ObjectGoneError,
    P2PGridError,
    RemoteProtocolError,
)
from p2pgrid.ids import ObjectId, PeerId, public_key_of, short
from p2pgrid.policy.moves import foreign_source, require_deposit
from p2pgrid.policy.objects import PREFIX_BYTES
from p2pgrid.protocol.arrays import DTYPES, claimed_bytes
from p2pgrid.protocol.messages import Abandon, Account, Deposit, Done, OpenUpload
from p2pgrid.protocol.operations import ArrayMeta
from p2pgrid.protocol.rights import Rights
from p2pgrid.protocol.values import Value, arrays_in, check_bounds, references_in

BYTES = DTYPES["uint8"]

_encoder = msgspec.msgpack.Encoder()


class _Uploading(NamedTuple):
    peer: PeerId
    granted: Granted


class Deposits:
    """What a domain takes from other domains; to be used on the gateway's event loop."""

    def __init__(
        self,
        *,
        domain: str,
        state: StatePort,
        capabilities: Capabilities,
        sessions: Sessions,
        transfers: Transfers,
        account_of: Callable[[bytes], Account | None],
        results_of: Callable[[bytes], Results | None],
    ) -> None:
        """``account_of`` has the account of a key, ``results_of`` those of a session's prefix."""
        self._domain, self._state = domain, state
        self._capabilities, self._sessions, self._transfers = capabilities, sessions, transfers
        self._account_of, self._results_of = account_of, results_of
        self._uploads: dict[ObjectId, _Uploading] = {}
        self._used: dict[bytes, int] = {}
        """Last links of capabilities that were used, until they expire."""
        self._endings: set[asyncio.Task[None]] = set()

    async def open_upload(self, session: LinkSession, message: OpenUpload, _: object) -> Answer:
        """Begins or resumes to take what is too large for the message of a deposit."""
        out, peer = ObjectId(message.object_id), session.link.peer
        if message.dtype != BYTES.name or len(message.shape) != 1:
            raise RemoteProtocolError("what another domain uploads is a row of bytes")
        with self._admit(peer, out, message.capability) as granted:
            self._expected(out, message.shape[0])
            meta, holder = ArrayMeta(message.shape, BYTES), Holder(granted.name, peer)
            opened = await self._transfers.open_upload(out, meta, holder)
        await self._watch(peer, out, message.capability)
        return Answer(opened)

    async def deposit(
        self, session: LinkSession, message: Deposit, buffers: Sequence[memoryview]
    ) -> Answer:
        """Takes a value, once; what waits for it goes on."""
        out, peer = ObjectId(message.out), session.link.peer
        sizes = _sizes_in(message.value)
        if not message.uploaded and sizes != [len(buffer) for buffer in buffers]:
            raise RemoteProtocolError("arrays of a deposit have other sizes than they claim")
        with self._admit(peer, out, message.capability) as granted:
            self._require_acceptable(granted, message, sum(sizes))
            event = AuditEvent(granted.name, "deposit", f"{short(out)} from {peer}", "taken")
            await self._state.audit(event)
            # Meanwhile another one may have come, or the capability may have ended.
            results, result = self._require_acceptable(granted, message, sum(sizes))
            self._use_up(granted.rights)
            result.sources = frozenset({foreign_source(peer)})
            arrays: Arrays = [bytes(buffer) for buffer in buffers]
            if message.uploaded:
                arrays = self._take_out(out, sizes, result)
            header_size = len(_encoder.encode(message.value))
            results.keep(result, message.value, arrays, header_size=header_size)
        return Answer(Done())

    async def abandon(self, session: LinkSession, message: Abandon, _: object) -> Answer:
        """Lets what waits for a value fail; a value that has come stays."""
        out = ObjectId(message.out)
        if out[:PREFIX_BYTES] != require_objects(session).prefix:
            raise RemoteProtocolError(f"{short(out)} is no name of this session")
        _, result = self._named(out)
        if result.callee is None:
            result.fail(message.failure)
            await self._end_upload(out)
        return Answer(Done())

    def close(self) -> None:
        """Looks after no upload any more, at the end of the node."""
        while self._uploads:
            _, uploading = self._uploads.popitem()
            uploading.granted.close()

    def _admit(self, peer: PeerId, out: ObjectId, capability: bytes) -> Granted:
        """Lets a domain deposit under this name; ``close`` what is returned."""
        try:
            key = public_key_of(peer)
        except ValueError:  # another kind of key, for which there are no capabilities
            raise CapabilityError(reason="audience", domain=self._domain) from None
        granted = self._capabilities.admit(capability, key)
        try:
            self._require_deposit(granted.rights, out)
        except BaseException:
            granted.close()
            raise
        return granted

    def _require_deposit(self, rights: Rights, out: ObjectId) -> None:
        """Only who opened a session may let others deposit there, under one name, once."""
        require_deposit(rights, out)
        signer, prefix = rights.signers[-1], out[:PREFIX_BYTES]
        account = self._account_of(signer)
        is_own = account is not None and account.name == rights.account
        if not self._sessions.opened_by(signer, rights.account, prefix, is_own=is_own):
            raise CapabilityError(reason="scope", domain=rights.domain)
        if rights.ids[-1] in self._used:
            raise DuplicateError(what="deposit", name=short(out))

    def _require_acceptable(
        self, granted: Granted, message: Deposit, size: int
    ) -> tuple[Results, Result]:
        """The results of the session, and the one that a deposit is to settle."""
        out = ObjectId(message.out)
        granted.require_live()
        self._require_deposit(granted.rights, out)
        if message.uploaded:
            self._transfers.require_uploaded(out, ArrayMeta((size,), BYTES), granted.name)
        return self._expected(out, size)

    def _use_up(self, rights: Rights) -> None:
        now = time.time()
        for old in [link for link, expires in self._used.items() if expires <= now]:
            del self._used[old]
        self._used[rights.ids[-1]] = rights.expires

    def _named(self, out: ObjectId) -> tuple[Results, Result]:
        results = self._results_of(out[:PREFIX_BYTES])
        if results is None:
            raise ObjectGoneError(object_id=f"session of {short(out)}", domain=self._domain)
        return results, results.get(out) or results.open(out, Result())

    def _expected(self, out: ObjectId, size: int) -> tuple[Results, Result]:
        """The results of a session, and the one that may still be deposited, or will be asked for.

        Raises:
            ObjectGoneError: the session has ended, or waits no more.
            QuotaExceededError: the session has no room for another result, of ``size`` bytes.
        """
        results, result = self._named(out)
        if result.is_ready or result.callee is not None:  # a result of a call is none of a deposit
            raise ObjectGoneError(object_id=f"place of {short(out)}", domain=self._domain)
        results.charge(size)
        results.discharge(size)
        return results, result

    def _take_out(self, out: ObjectId, sizes: Sequence[int], result: Result) -> list[FileArray]:
        """The arrays inside an upload, which is removed with the result."""
        uploading = self._uploads.pop(out)
        uploading.granted.close()
        path, start, _ = self._transfers.take_out(out)
        result.remove_with_it(path)
        starts = accumulate(sizes, initial=start)
        return [FileArray(str(path), at, size) for at, size in zip(starts, sizes, strict=False)]

    async def _watch(self, peer: PeerId, out: ObjectId, capability: bytes) -> None:
        """Ends an open upload together with the capability, which may be over by now."""
        for name in [it for it in self._uploads if not self._transfers.is_open(it)]:
            self._uploads.pop(name).granted.close()
        if out in self._uploads:
            return
        try:
            granted = self._admit(peer, out, capability)
        except P2PGridError:
            await self._transfers.close(out, peer)
            raise
        granted.on_end(lambda: self._spawn_end(out))
        self._uploads[out] = _Uploading(peer, granted)

    def _spawn_end(self, out: ObjectId) -> None:
        task = asyncio.get_running_loop().create_task(self._end_upload(out))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _end_upload(self, out: ObjectId) -> None:
        uploading = self._uploads.pop(out, None)
        if uploading is not None:
            uploading.granted.close()
            await self._transfers.close(out, uploading.peer)


def _sizes_in(value: Value) -> list[int]:
    """The sizes of a value's arrays, by the numbers of their buffers.

    Raises:
        RemoteProtocolError: our peers would not deposit such a value.
    """
    check_bounds(value)
    headers = sorted(arrays_in(value), key=lambda header: header.buffer)
    if [header.buffer for header in headers] != list(range(len(headers))):
        raise RemoteProtocolError("the arrays of a deposit are not numbered one by one")
    if any(references_in(value)):
        raise RemoteProtocolError("a deposit refers to other objects")
    return [claimed_bytes(header) for header in headers]

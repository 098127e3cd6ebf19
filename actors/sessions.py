"""The sessions of a domain: kept while their links live and for a lease after, then collected.

The rules are in ``policy/leases.py``; here are the clock, the prefixes and the store.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator
from math import inf

from actors.meter import Load
from p2pgrid.config import Limits
from p2pgrid.errors import UnavailableError
from p2pgrid.ids import DatasetId
from p2pgrid.policy.leases import Lease, Leases, Owner
from p2pgrid.policy.objects import PREFIX_BYTES, SessionObjects
from p2pgrid.protocol.messages import (
    MAX_HOLDINGS,
    MAX_SOURCES_TOLD,
    Holding,
    Holdings,
)

log = logging.getLogger(__name__)


class Sessions:
    """Who holds which objects; all methods run on the gateway's loop.

    ``drop`` frees the values of a session that has ended.
    """

    def __init__(
        self, drop: Callable[[bytes], Awaitable[None]], *, lease_s: float, limits: Limits
    ) -> None:
        self._drop = drop
        self._leases = Leases(lease_s=lease_s, limits=limits)
        self._by_prefix: dict[bytes, Lease] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._drops: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._leases)

    def claim(
        self, owner: Owner, holder: object, open_objects: Callable[[bytes], SessionObjects]
    ) -> Lease:
        """The session of an owner, held by ``holder`` now; ``open_objects`` makes a new one's."""
        lease = self._leases.claim(
            owner,
            holder,
            lambda: open_objects(secrets.token_bytes(PREFIX_BYTES)),
            now=asyncio.get_running_loop().time(),
        )
        self._by_prefix[lease.objects.prefix] = lease
        return lease

    def lent_by(self, account: str, prefix: bytes) -> SessionObjects | None:
        """The objects of the session of a prefix, when the account's own key opened it."""
        lease = self._by_prefix.get(prefix)
        if lease is None or lease.owner.account != account or lease.owner.via:
            return None
        return lease.objects

    def opened_by(self, key: bytes, account: str, prefix: bytes, *, is_own: bool) -> bool:
        """True when the session of this prefix is the account's, and was opened with this key.

        ``is_own`` says that it is a key of the account; those of one account count as one.
        """
        lease = self._by_prefix.get(prefix)
        if lease is None or lease.owner.account != account:
            return False
        return lease.owner.is_by(key, is_own=is_own)

    def end(self, lease: Lease) -> None:
        """Ends a session at once; its values are dropped after what is under way."""
        self._leases.end(lease)
        self._collect((lease,))

    def release(self, lease: Lease, holder: object) -> None:
        """Notes the end of a link; a session that no link holds waits for its lease."""
        now = asyncio.get_running_loop().time()
        self._collect(self._leases.release(lease, holder, now=now))

    def holdings(self, name_of: Callable[[DatasetId], str]) -> Holdings:
        """Who holds what; ``name_of`` names a dataset."""
        now = asyncio.get_running_loop().time()
        leases = sorted(self._leases, key=lambda lease: -lease.objects.held_bytes)
        rows = (_row(lease, name_of, now=now) for lease in leases[:MAX_HOLDINGS])
        return Holdings(tuple(rows), sessions=len(leases))

    def load(self) -> Load:
        """How much all sessions hold."""
        leases = list(self._leases)
        waiting = sum(lease.holder is None for lease in leases)
        return Load(
            sessions_connected=len(leases) - waiting,
            sessions_waiting=waiting,
            objects=sum(len(lease.objects) for lease in leases),
            object_bytes=sum(lease.objects.held_bytes for lease in leases),
        )

    def _expire(self) -> None:
        self._collect(self._leases.expire(now=asyncio.get_running_loop().time()))

    def _collect(self, ended: Iterable[Lease]) -> None:
        loop = asyncio.get_running_loop()
        for lease in ended:
            self._by_prefix.pop(lease.objects.prefix, None)
            task = loop.create_task(self._drop_values(lease.objects.prefix))
            self._drops.add(task)
            task.add_done_callback(self._drops.discard)
        if self._timer is not None:
            self._timer.cancel()
        at = self._leases.next_expiry()
        self._timer = None if at == inf else loop.call_at(at, self._expire)

    async def _drop_values(self, prefix: bytes) -> None:
        try:
            await self._drop(prefix)
        except UnavailableError:
            log.info("the store restarts: the values of a session are gone with its memory")


def _row(lease: Lease, name_of: Callable[[DatasetId], str], *, now: float) -> Holding:
    names = sorted(map(name_of, lease.objects.sources))
    return Holding(
        account=lease.owner.name,
        peer=lease.owner.peer,
        objects=len(lease.objects),
        held_bytes=lease.objects.held_bytes,
        datasets=tuple(names[:MAX_SOURCES_TOLD]),
        sources=len(names),
        age_s=now - lease.since,
        left_s=None if lease.until == inf else max(0.0, lease.until - now),
    )

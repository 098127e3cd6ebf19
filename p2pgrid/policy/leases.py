"""Whose a session is, and how long it waits for its owner to come back; time comes in as a value.

Rule 1: a session belongs to one peer, which the transport proved, and one account, which a
signature proved; nobody else gets it.
Rule 2: a session lives as long as a link holds it, and for ``lease_s`` after that.
Rule 3: an owner who comes back in that time gets the same session; so does one whose old link
still seems open: the newest link holds it, and the end of an older one changes nothing.
Rule 4: what waits is bounded: sessions of one peer, of one account and of all, and what those of
one account hold together. What has waited longest ends first. Sessions by capabilities that draw on
an account count together, apart from those of its own key.
"""

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import NamedTuple

from p2pgrid.config import Limits
from p2pgrid.ids import PeerId
from p2pgrid.policy.objects import SessionObjects


class Owner(NamedTuple):
    """Who may come back to a session."""

    peer: PeerId
    account: str
    via: str = ""
    """Of a login by a capability: its key and its last link; see ``name_of``."""

    @property
    def name(self) -> str:
        """What people read."""
        return name_of(self.account, self.via)

    def is_by(self, key: bytes, *, is_own: bool) -> bool:
        """True when this key, or another of the same person's, opened the session.

        ``is_own`` says that it is a key of the account.
        """
        return self.via.startswith(f"{key[:8].hex()}/") if self.via else is_own

    def shares_bound(self, other: "Owner") -> bool:
        """Both draw on the same account: by its own key, or by capabilities."""
        return self.account == other.account and bool(self.via) == bool(other.via)


MAX_NAME = 64
"""So that a name with the capability behind it fits into every message."""


def name_of(account: str, via: str) -> str:
    """Whose rights, and through which capability."""
    return f"{account[:MAX_NAME]} via {via}" if via else account


class Lease:
    """One session: its objects, and which link holds it until when."""

    __slots__ = ("holder", "objects", "owner", "since", "until")

    def __init__(self, owner: Owner, objects: SessionObjects, holder: object, since: float) -> None:
        self.owner = owner
        self.objects = objects
        self.since = since
        self.holder: object | None = holder
        """The link that holds it; None while it waits."""
        self.until = inf
        """When it ends, unless its owner comes back."""


class Leases:
    """All sessions of a domain; see the rules at the head of the module."""

    def __init__(self, *, lease_s: float, limits: Limits) -> None:
        self._lease_s = lease_s
        self._limits = limits
        self._held: dict[Owner, Lease] = {}
        self._waiting: dict[Owner, Lease] = {}
        """In the order in which they end."""

    def __iter__(self) -> Iterator[Lease]:
        yield from self._held.values()
        yield from self._waiting.values()

    def claim(
        self, owner: Owner, holder: object, make: Callable[[], SessionObjects], *, now: float
    ) -> Lease:
        """The owner's session, from now on held by ``holder``; a new one when there is none."""
        lease = self._held.get(owner) or self._waiting.pop(owner, None)
        if lease is None:
            lease = Lease(owner, make(), holder, now)
        lease.holder, lease.until = holder, inf
        self._held[owner] = lease
        return lease

    def release(self, lease: Lease, holder: object, *, now: float) -> tuple[Lease, ...]:
        """Notes the end of a link; the sessions that ended because too much waits now."""
        if lease.holder is not holder:
            return ()
        lease.holder, lease.until = None, now + self._lease_s
        self._waiting[lease.owner] = self._held.pop(lease.owner)
        return self._end_surplus(lease.owner)

    def end(self, lease: Lease) -> None:
        """Ends a session at once, whoever holds it."""
        lease.holder = None
        for leases in (self._held, self._waiting):
            if leases.get(lease.owner) is lease:
                del leases[lease.owner]

    def expire(self, *, now: float) -> tuple[Lease, ...]:
        """Ends and returns the sessions whose owners did not come back."""
        return self._end([lease for lease in self._waiting.values() if lease.until <= now])

    def next_expiry(self) -> float:
        """When ``expire`` has something to do; infinity when nothing waits."""
        return next((lease.until for lease in self._waiting.values()), inf)

    def _end_surplus(self, owner: Owner) -> tuple[Lease, ...]:
        """Only what shares a bound with the session that has just begun to wait."""
        limits = self._limits
        waiting = list(self._waiting.values())
        of_peer = [lease for lease in waiting if lease.owner.peer == owner.peer]
        of_account = [lease for lease in waiting if lease.owner.shares_bound(owner)]
        surplus = {
            lease.owner: lease
            for lease in (
                *waiting[: max(0, len(waiting) - limits.waiting_sessions)],
                *of_peer[: max(0, len(of_peer) - limits.waiting_per_owner)],
                *of_account[: max(0, len(of_account) - limits.waiting_per_owner)],
                *self._too_large_together(of_account),
            )
        }
        return self._end(surplus.values())

    def _too_large_together(self, leases: list[Lease]) -> list[Lease]:
        """The oldest of them, until the rest is within what one session may hold."""
        objects = held = 0
        for number, lease in enumerate(reversed(leases)):
            objects += len(lease.objects)
            held += lease.objects.held_bytes
            if objects > self._limits.session_objects or held > self._limits.session_bytes:
                return leases[: len(leases) - number]
        return []

    def _end(self, leases: Iterable[Lease]) -> tuple[Lease, ...]:
        ended = tuple(leases)
        for lease in ended:
            del self._waiting[lease.owner]
        return ended

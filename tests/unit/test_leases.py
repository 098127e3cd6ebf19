"""The four rules of leases, whatever peers do and in whatever order."""

from dataclasses import dataclass
from math import inf
from typing import cast

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from p2pgrid.config import Limits
from p2pgrid.ids import PeerId
from p2pgrid.policy.leases import Lease, Leases, Owner
from p2pgrid.policy.objects import SessionObjects

LEASE_S = 10
LIMITS = Limits(session_objects=20, session_bytes=100, waiting_sessions=5, waiting_per_owner=2)
OWNERS = [Owner(PeerId(peer), account) for peer in "pqrs" for account in ("ana", "eve", "tom")]
OWNERS += [Owner(PeerId(peer), "ana", f"key/{token}") for peer in "pt" for token in "12"]


@dataclass(eq=False)
class Objects:
    """What a lease asks of the objects of a session."""

    number: int
    held_bytes: int = 0
    objects: int = 0

    def __len__(self) -> int:
        return self.objects


class Link:
    """Whatever holds a session."""


def objects_of(lease: Lease) -> Objects:
    return cast("Objects", lease.objects)


class LeaseMachine(RuleBasedStateMachine):
    """Links come, break, are taken over; time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.leases = Leases(lease_s=LEASE_S, limits=LIMITS)
        self.now = 0.0
        self.made: list[Objects] = []
        self.links: list[tuple[Lease, Link]] = []
        self.live: dict[Owner, Objects] = {}
        self.released_at: dict[Owner, float] = {}
        self.ended: list[Objects] = []

    def make(self) -> SessionObjects:
        self.made.append(Objects(len(self.made)))
        return cast("SessionObjects", self.made[-1])

    @rule(owner=st.sampled_from(OWNERS), size=st.integers(0, 60), count=st.integers(0, 12))
    def a_link_logs_in(self, owner: Owner, size: int, count: int) -> None:
        link = Link()
        lease = self.leases.claim(owner, link, self.make, now=self.now)
        before = self.live.get(owner)
        assert objects_of(lease) is (self.made[-1] if before is None else before)
        assert (lease.owner, lease.holder, lease.until) == (owner, link, inf)
        self.live[owner] = objects_of(lease)
        self.live[owner].held_bytes, self.live[owner].objects = size, count
        self.released_at.pop(owner, None)
        self.links.append((lease, link))

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def a_link_ends(self, data: st.DataObject) -> None:
        lease, link = data.draw(st.sampled_from(self.links))
        self.links.remove((lease, link))
        held = lease.holder is link
        ended = self.leases.release(lease, link, now=self.now)
        if not held:
            assert ended == ()
            return
        self.released_at[lease.owner] = self.now
        shared = (lease.owner.peer, lease.owner.account)
        for one in ended:
            is_full = len(self.released_at) > LIMITS.waiting_sessions
            assert is_full or one.owner.peer in shared or one.owner.account in shared
            assert self.released_at[one.owner] <= self.now
        self.note(ended)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def a_session_loses_its_rights(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(sorted(self.live)))
        lease = next(lease for lease in self.leases if lease.owner == owner)
        self.leases.end(lease)
        self.leases.end(lease)
        assert lease.holder is None
        self.released_at.pop(owner, None)
        self.ended.append(self.live.pop(owner))

    @rule(passing=st.integers(0, 6))
    def time_passes(self, passing: int) -> None:
        self.now += passing
        ended = self.leases.expire(now=self.now)
        late = {owner for owner, at in self.released_at.items() if at + LEASE_S <= self.now}
        assert {lease.owner for lease in ended} == late
        self.note(ended)

    def note(self, ended: tuple[Lease, ...]) -> None:
        for lease in ended:
            del self.released_at[lease.owner]
            self.ended.append(self.live.pop(lease.owner))

    @invariant()
    def every_session_is_alive_or_ended_once(self) -> None:
        alive = [objects_of(lease) for lease in self.leases]
        assert sorted(o.number for o in (*alive, *self.ended)) == list(range(len(self.made)))
        assert {lease.owner: objects_of(lease) for lease in self.leases} == self.live

    @invariant()
    def what_waits_is_bounded(self) -> None:
        waiting = [lease for lease in self.leases if lease.holder is None]
        assert {lease.owner for lease in waiting} == set(self.released_at)
        assert len(waiting) <= LIMITS.waiting_sessions
        for owner in OWNERS:
            of_account = [
                it
                for it in waiting
                if (it.owner.account, bool(it.owner.via)) == (owner.account, bool(owner.via))
            ]
            of_peer = [it for it in waiting if it.owner.peer == owner.peer]
            assert max(len(of_peer), len(of_account)) <= LIMITS.waiting_per_owner
            assert sum(it.objects.held_bytes for it in of_account) <= LIMITS.session_bytes
            assert sum(len(it.objects) for it in of_account) <= LIMITS.session_objects

    @invariant()
    def the_next_expiry_is_the_earliest(self) -> None:
        earliest = min(self.released_at.values(), default=inf) + LEASE_S
        assert self.leases.next_expiry() == earliest


TestTheRulesOfLeases = LeaseMachine.TestCase
TestTheRulesOfLeases.settings = settings(stateful_step_count=20)


def claimed(leases: Leases, peer: str, *, held_bytes: int = 0) -> tuple[Lease, Link]:
    link = Link()
    objects = cast("SessionObjects", Objects(0, held_bytes))
    return leases.claim(Owner(PeerId(peer), "ana"), link, lambda: objects, now=0.0), link


def test_what_has_waited_longest_ends_first() -> None:
    leases = Leases(lease_s=LEASE_S, limits=LIMITS)
    links = [claimed(leases, peer) for peer in "pqr"]
    ended = [leases.release(*it, now=float(number)) for number, it in enumerate(links)]
    assert ended == [(), (), (links[0][0],)]


def test_sessions_of_one_account_hold_no_more_together_than_one_may() -> None:
    leases = Leases(lease_s=LEASE_S, limits=LIMITS)
    first, second = (claimed(leases, peer, held_bytes=60) for peer in "pq")
    assert leases.release(*first, now=0.0) == ()
    assert leases.release(*second, now=1.0) == (first[0],)


def test_the_end_of_an_older_link_changes_nothing() -> None:
    leases = Leases(lease_s=LEASE_S, limits=LIMITS)
    lease, old = claimed(leases, "p")
    again, new = claimed(leases, "p")
    assert again is lease
    assert leases.release(lease, old, now=0.0) == ()
    assert (lease.holder, leases.next_expiry()) == (new, inf)


def test_sessions_by_capabilities_of_an_account_count_together_and_apart_from_its_own() -> None:
    leases = Leases(lease_s=LEASE_S, limits=LIMITS)
    own = claimed(leases, "p")
    assert leases.release(*own, now=0.0) == ()
    lent = []
    for number, peer in enumerate("qrs"):
        owner, link = Owner(PeerId(peer), "ana", f"key/{number}"), Link()
        objects = cast("SessionObjects", Objects(number))
        lent.append((leases.claim(owner, link, lambda it=objects: it, now=0.0), link))  # type: ignore[misc]
    ended = [leases.release(*it, now=1.0) for it in lent]
    assert ended == [(), (), (lent[0][0],)]
    assert own[0] in leases

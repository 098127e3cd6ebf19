"""Sessions outlive their links for a while: what goes on, what fails, and what is collected."""

import asyncio
import gc
import queue
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from p2pgrid import DomainClient, TensorPointer
from p2pgrid.client.wallet import Wallet, WalletKey
from p2pgrid.config import Limits, Timing
from p2pgrid.errors import ObjectGoneError, RemoteProtocolError, TransportError
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Inbound, Link
from p2pgrid.policy.objects import SessionObjects
from p2pgrid.protocol.messages import Begin, Challenge, Get, Login, Op, Operate, Operated, Session
from p2pgrid.protocol.statements import sign_login
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.strangers import Stranger

A = np.arange(6.0)
AT_ONCE = Timing(lease_s=0.0)
WAIT_S = 10.0


def published(owner: DomainClient) -> TensorPointer:
    pointer: TensorPointer = owner.publish("a", A).pointers[0]
    return pointer


def drops(node: FabricNode) -> "queue.Queue[bytes]":
    """The sessions whose values the store was told to forget, as they come."""
    dropped: queue.Queue[bytes] = queue.Queue()
    drop = node.store.drop

    def noted(prefix: bytes) -> None:
        drop(prefix)
        dropped.put(prefix)

    node.store.drop = noted  # type: ignore[method-assign]
    return dropped


def test_pointers_go_on_working_after_the_link_broke(grid: Grid, bob: FabricNode) -> None:
    owner = grid.owner_of(bob)
    a = published(owner)
    kept = (a + 1).block
    for _ in range(3):
        grid.hang_up(owner)
        np.testing.assert_array_equal(kept.get_copy(), A + 1)
        kept = (kept + 1 - a + a - 1).block
    np.testing.assert_array_equal((kept * 2).get_copy(), (A + 1) * 2)


def test_what_was_freed_without_a_link_is_freed_with_the_next(grid: Grid, bob: FabricNode) -> None:
    owner = grid.owner_of(bob)
    a = published(owner)
    kept, dropped = (a + 1).block, (a + 2).block
    name = dropped._id
    grid.hang_up(owner)
    del dropped
    (kept + 1).block  # noqa: B018 carries what was freed
    held = next(iter(bob.store._sessions.values()))
    assert name not in held
    assert kept._id in held


def test_what_was_freed_on_a_link_that_broke_is_freed_again(grid: Grid, bob: FabricNode) -> None:
    owner = grid.owner_of(bob)
    a = published(owner)
    kept, dropped = (a + 1).block, (a + 2).block
    name, session = dropped._id, dropped._session
    assert session is not None
    grid.hang_up(owner)
    del dropped
    _, batch = session.apply("add", (kept._id, 1.0), ())  # takes along what was freed
    session.wait(batch)
    assert isinstance(batch.error, TransportError)
    (kept + 1).block  # noqa: B018
    assert name not in next(iter(bob.store._sessions.values()))


def test_a_domain_cannot_say_that_all_names_are_used_up(
    grid: Grid, bob: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SessionObjects, "last", b"\xff" * 8)
    with pytest.raises(RemoteProtocolError, match="used up"):
        grid.owner_of(bob)


def test_what_was_under_way_fails_and_is_never_done_twice(
    grid: Grid, bob: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = grid.owner_of(bob)
    a = published(owner)
    before = (a + 1).block
    port = bob.node._service._store  # type: ignore[attr-defined]
    execute, came, go_on = port.execute, threading.Event(), asyncio.Event()
    done: list[bytes] = []

    async def slow(operations: bytes, buffers: object) -> object:
        done.append(operations)
        came.set()
        await go_on.wait()
        return await execute(operations, buffers)

    monkeypatch.setattr(port, "execute", slow)
    under_way = before * 2
    assert came.wait(WAIT_S)
    grid.hang_up(owner)
    for use in (lambda: under_way.block, under_way.get, lambda: under_way + 1):
        with pytest.raises(TransportError):
            use()
    bob.node._loop.loop.call_soon_threadsafe(go_on.set)
    np.testing.assert_array_equal((before * 3).get_copy(), (A + 1) * 3)
    assert len(done) == 2
    lost = under_way._id
    under_way = before
    gc.collect()  # the frames of the errors above knew it
    (before + 1).block  # noqa: B018 carries what was freed
    assert lost not in next(iter(bob.store._sessions.values()))


def test_who_comes_back_too_late_finds_nothing(make_grid: Callable[..., Grid]) -> None:
    grid = make_grid(timing=AT_ONCE)
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    a = published(owner)
    late = (a + 1).block
    dropped = drops(bob)
    grid.hang_up(owner)
    assert dropped.get(timeout=WAIT_S) == late._id[:8]
    assert not bob.store._sessions
    for use in (late.get, lambda: late + 1):
        with pytest.raises(ObjectGoneError):
            use()
    np.testing.assert_array_equal((a + 1).get_copy(), A + 1)


def test_a_restarted_gateway_knows_no_sessions(grid: Grid, bob: FabricNode) -> None:
    owner = grid.owner_of(bob)
    lost = (published(owner) + 1).block
    bob.stop()
    bob.start()
    with pytest.raises(ObjectGoneError):
        lost.get_copy()


def test_a_newer_link_takes_over_before_the_domain_noticed_the_end_of_the_old(
    grid: Grid, bob: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = grid.owner_of(bob)
    kept = (published(owner) + 1).block
    ends: queue.Queue[Link] = queue.Queue()
    gateway = bob.node._gateway
    with monkeypatch.context() as patch:
        patch.setattr(gateway, "on_over", ends.put)
        grid.hang_up(owner)
        np.testing.assert_array_equal(kept.get_copy(), A + 1)
        old = ends.get(timeout=WAIT_S)
        assert gateway._sessions[old].objects is None
    gateway.on_over(old)
    np.testing.assert_array_equal((kept * 2).get_copy(), (A + 1) * 2)
    assert [lease.holder is not None for lease in bob.node._service._sessions] == [True]  # type: ignore[attr-defined]


def test_nobody_else_gets_a_session_and_its_owner_gets_it_with_the_last_name(
    grid: Grid, bob: FabricNode
) -> None:
    owner = grid.owner_of(bob)
    a = published(owner)
    ana, eve = (Wallet(grid.home / f"{n}.json").new(owner.peer_id, n) for n in ("ana", "eve"))
    owner.users.add("ana", ana.public_key)
    owner.users.add("eve", eve.public_key)
    first = Stranger(grid, bob)
    session = first.login(ana)
    assert session.last == bytes(8)
    made = session.prefix + b"\0" * 7 + b"\5"
    ask(first.link, Operate(ops=(Op("copy", made, (a._id,)),)), Operated)

    other_peer = Stranger(grid, bob).login(ana)
    assert other_peer.prefix != session.prefix

    def again(key: WalletKey) -> tuple[Session, Link]:
        """The same peer on another link."""
        first.link.close_soon("the test hung up")
        first._peer.soon(lambda: None)
        link = first._peer.link_to(bob.node.peer_id, (bob.address,))
        while link is first.link:
            link = first._peer.link_to(bob.node.peer_id, (bob.address,))
        first.link, first.nonce = link, ask(link, Begin(), Challenge).nonce
        return first.login(key), link

    other_account, link = again(eve)
    assert other_account.prefix != session.prefix
    with pytest.raises(ObjectGoneError):
        ask(link, Get(object_id=made), Operated)
    back, link = again(ana)
    assert (back.prefix, back.last) == (session.prefix, made[8:])
    with pytest.raises(TransportError):  # a name that was used: hung up on
        ask(link, Operate(ops=(Op("copy", made, (a._id,)),)), Operated)


def test_what_waits_for_one_account_is_bounded(make_grid: Callable[..., Grid]) -> None:
    grid = make_grid(Limits(waiting_per_owner=1))
    bob = grid.launch("bob")
    a = published(grid.owner_of(bob))
    first, second = grid.owner_of(bob), grid.owner_of(bob)
    one = (first.datasets[0].pointers[0] + 1).block
    two = (second.datasets[0].pointers[0] + 2).block
    dropped = drops(bob)
    grid.hang_up(first)
    grid.hang_up(second)
    assert dropped.get(timeout=WAIT_S) in {one._id[:8], two._id[:8]}
    np.testing.assert_array_equal((a * 2).get_copy(), A * 2)


def test_a_login_that_comes_after_the_end_of_its_link_holds_nothing(
    grid: Grid, bob: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = grid.owner_of(bob)
    key = Wallet(grid.home / "owner-bob" / "wallet.json").key_for(owner.peer_id)
    stranger = Stranger(grid, bob)
    gateway = bob.node._gateway
    held: queue.Queue[Inbound] = queue.Queue()
    ended = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(gateway, "_start", held.put)
        signed = sign_login(
            key.seed,
            audience=owner.peer_id,
            peer=stranger.peer_id,
            nonce=stranger.nonce,
            now=time.time(),
        )
        stranger.link.request(Login(statement=signed.statement, signature=signed.signature))
        inbound = held.get(timeout=WAIT_S)

    def end_then_start() -> None:
        """As the loop may do it: the request is taken, the link ends, the request is handled."""
        gateway._start(inbound)
        inbound.link.over.set()
        gateway._forget(inbound.link)
        bob.node._loop.loop.call_soon(ended.set)

    bob.node._loop.loop.call_soon_threadsafe(end_then_start)
    assert ended.wait(WAIT_S)
    owners = [lease.owner.peer for lease in bob.node._service._sessions]  # type: ignore[attr-defined]
    assert stranger.peer_id not in owners

"""Peers over both transports: one link, kept, made again, shared by threads."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from p2pgrid.errors import InternalError, LocalProtocolError, PeerUnreachableError
from p2pgrid.net.link import Inbound, Link, Reply
from p2pgrid.protocol.messages import Search
from p2pgrid.protocol.queries import Query
from p2pgrid.protocol.records import NodeRecord, SignedRecord, sign
from tests.contract.peers import WAIT_S, Grid, ask, echo, link
from tests.contract.worlds import peer_of, seed_of


def record(addresses: Sequence[str], *, seq: int = 1) -> SignedRecord:
    """Of peer 2."""
    expires = int(time.time()) + 600
    body = NodeRecord("domain", "clinic", tuple(addresses), seq=seq, expires=expires)
    return sign(body, signing_key=seed_of(2))


def test_a_peer_asks_another_and_is_answered(grid: Grid) -> None:
    one, two = grid.peer(1), grid.peer(2)
    assert ask(one, two).message == Search(Query(exact_tags=("hello",)))
    assert ask(two, one).message == Search(Query(exact_tags=("hello",)))
    assert (one.peer_id, two.peer_id) == (peer_of(1), peer_of(2))


def test_one_link_serves_both_and_is_kept(grid: Grid) -> None:
    asked_over: list[Link] = []

    def note(inbound: Inbound) -> None:
        asked_over.append(inbound.link)
        echo(inbound)

    one, two = grid.peer(1), grid.peer(2, on_request=note)
    for _ in range(3):
        ask(one, two)
    assert set(asked_over) == {link(two, one)}
    assert link(one, two) is link(one, two)


def test_a_handler_that_raises_is_told_as_a_reference_and_ends_nothing(
    grid: Grid, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Inbound) -> None:
        raise RuntimeError("a mistake of the layer above")

    one, two = grid.peer(1), grid.peer(2, on_request=fail)
    with pytest.raises(InternalError) as told:
        ask(one, two)
    assert told.value.reference in {it.__dict__.get("reference") for it in caplog.records}
    assert "mistake of the layer" not in str(told.value)
    assert link(one, two).is_open
    ask(two, one)


def test_a_link_that_broke_is_made_again(grid: Grid) -> None:
    one, two = grid.peer(1), grid.peer(2)
    for near, far in ((one, two), (two, one), (one, two)):
        ask(near, far)
        broken = link(near, far)
        broken.close_soon("for the test")
        assert {grid.over.get(timeout=WAIT_S).peer for _ in "12"} == {one.peer_id, two.peer_id}
        assert link(near, far) is not broken
        ask(near, far)
    assert grid.over.empty()


def test_a_peer_that_came_back_is_linked_again(grid: Grid) -> None:
    one, two = grid.peer(1), grid.peer(2)
    ask(one, two)
    two.stop()
    grid.over.get(timeout=WAIT_S)
    grid.over.get(timeout=WAIT_S)
    with pytest.raises(PeerUnreachableError):
        link(one, two)
    ask(one, grid.peer(2))


def test_nobody_can_dial_himself(grid: Grid) -> None:
    one = grid.peer(1)
    with pytest.raises(LocalProtocolError):
        link(one, one)


def test_many_threads_share_one_link(grid: Grid, threads: ThreadPoolExecutor) -> None:
    asked_over: set[Link] = set()
    handled: list[str] = []

    def note(inbound: Inbound) -> None:
        asked_over.add(inbound.link)
        assert isinstance(inbound.message, Search)
        handled.append(inbound.message.query.exact_tags[0])
        echo(inbound)

    one, two = grid.peer(1), grid.peer(2, on_request=note)
    together = threading.Barrier(8)

    def work(number: int) -> list[Reply]:
        together.wait(WAIT_S)
        return [ask(one, two, f"{number} {turn}") for turn in range(20)]

    for number, replies in enumerate(threads.map(work, range(8))):
        expected = [Search(Query(exact_tags=(f"{number} {turn}",))) for turn in range(20)]
        assert [reply.message for reply in replies] == expected
    assert len(handled) == len(set(handled)) == 160
    assert len(asked_over) == 1


def test_answers_may_come_from_any_thread(grid: Grid, threads: ThreadPoolExecutor) -> None:
    one = grid.peer(1)
    two = grid.peer(2, on_request=lambda inbound: threads.submit(echo, inbound))
    futures = [link(one, two).request(Search(Query(exact_tags=(str(n),)))) for n in range(50)]
    assert [future.result(WAIT_S).message for future in futures] == [
        Search(Query(exact_tags=(str(n),))) for n in range(50)
    ]


def test_a_peer_is_reached_where_its_record_says(grid: Grid) -> None:
    one, two = grid.peer(1), grid.peer(2)
    two.put(record(two.addresses))
    assert one.join(two.addresses) == 1
    assert one.reach(two.peer_id).peer == two.peer_id
    assert one.reach(two.peer_id) is link(one, two)
    with pytest.raises(PeerUnreachableError):
        one.reach(peer_of(9))


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_peer_that_moved_is_reached_past_the_cache(libp2p: Grid, is_taken: bool) -> None:
    """For half a minute a record counts as the newest, unless nobody answers there."""
    meeting, two = libp2p.peer(3), libp2p.peer(2)
    one = libp2p.peer(1, listen=())  # it stores nothing for others
    assert [peer.join(meeting.addresses) for peer in (one, two)] == [1, 1]
    old = two.addresses
    two.put(record(old))
    assert one.get(two.peer_id).addresses == old
    two.stop()
    if is_taken:
        libp2p.peer(4, listen=(old[0].split("/p2p/")[0],))
    two = libp2p.peer(2)
    assert two.addresses != old
    assert two.join(meeting.addresses) == 1
    two.put(record(two.addresses, seq=2))
    assert one.get(two.peer_id).addresses == old
    assert one.reach(two.peer_id).peer == two.peer_id
    two.stop()
    with pytest.raises(PeerUnreachableError):
        one.reach(two.peer_id)

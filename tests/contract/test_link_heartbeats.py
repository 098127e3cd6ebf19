"""A frozen peer is found in time, a patient one is kept; by the virtual clock."""

import pytest
import trio

from p2pgrid.errors import TransportError
from p2pgrid.net.link import Reply
from p2pgrid.net.memory import Faults
from p2pgrid.protocol.codec import Kind
from tests.contract.links import (
    PATIENT,
    are_all,
    echo,
    ignore,
    linked,
    outcome,
    outcomes,
    question,
    running,
)
from tests.contract.worlds import MIB, Memory, RawPeer, peer_of, run, streams


@pytest.mark.parametrize("busy", [True, False])
def test_a_frozen_peer_is_found_within_ten_seconds(*, busy: bool) -> None:
    memory = Memory()

    async def work() -> None:
        async with linked(memory, far_answers=ignore, timing=PATIENT) as (near, _):
            await trio.sleep(100)
            futures = [near.request(question(number)) for number in range(30 * busy)]
            memory.hub.frozen.add(peer_of(2))
            frozen_at = trio.current_time()
            await near.over.wait()
            assert trio.current_time() <= frozen_at + 10
            assert are_all(TransportError, await outcomes(futures))
            assert trio.current_time() <= frozen_at + 10

    run(memory, work)


def test_a_peer_that_freezes_while_it_is_sent_a_lot_is_found_too() -> None:
    memory = Memory()

    async def work() -> None:
        async with streams(memory) as (one, _), running(one, ignore, timing=PATIENT) as link:
            futures = [link.request(question(1), [bytes(1000)]) for _ in range(64)]
            memory.hub.faults = Faults(bytes_per_s=1)
            began = trio.current_time()
            assert are_all(TransportError, await outcomes(futures))
            assert trio.current_time() <= began + 10

    run(memory, work)


def test_an_idle_link_stays_open() -> None:
    memory = Memory()

    async def work() -> None:
        async with linked(memory) as (near, far):
            await trio.sleep(3600)
            assert near.is_open
            assert far.is_open
            assert isinstance(await outcome(near.request(question(1))), Reply)

    run(memory, work)


def test_a_peer_that_answers_nothing_but_pings_stays_linked() -> None:
    memory = Memory()

    async def work() -> None:
        async with linked(memory, far_answers=ignore, timing=PATIENT) as (near, _):
            future = near.request(question(1))
            await trio.sleep(3600)
            assert not future.done()
            assert near.is_open

    run(memory, work)


@pytest.mark.parametrize("both_ways", [True, False])
def test_a_frame_that_takes_minutes_is_not_silence(*, both_ways: bool) -> None:
    memory = Memory()

    async def work() -> None:
        async with linked(memory, near_answers=echo, timing=PATIENT) as (near, far):
            far.trust()
            memory.hub.faults = Faults(bytes_per_s=MIB / 10)
            began = trio.current_time()
            futures = [near.request(question(1), [bytes(20 * MIB)])]
            if both_ways:
                futures.append(far.request(question(2), [bytes(20 * MIB)]))
            assert are_all(Reply, await outcomes(futures))
            assert trio.current_time() >= began + 400

    run(memory, work)


def test_pings_are_few() -> None:
    memory = Memory()

    async def work() -> None:
        async with streams(memory) as (one, two), running(one, ignore) as link:
            pings = 0
            peer = RawPeer(two)
            with trio.move_on_after(100):
                for _ in range(1000):
                    await peer.receive(Kind.PING)
                    await peer.send(Kind.PING, 0)
                    pings += 1
            assert pings == 49  # one every two seconds, and none at the start
            assert link.is_open

    run(memory, work)

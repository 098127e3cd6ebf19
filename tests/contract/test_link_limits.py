"""What waits on a link is bounded, in requests and in bytes."""

from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from p2pgrid.config import Limits
from p2pgrid.errors import BusyError, RemoteTimeoutError, TransportError
from p2pgrid.net.link import Inbound, Reply
from p2pgrid.net.memory import Faults
from p2pgrid.protocol import faults
from p2pgrid.protocol.codec import Kind
from p2pgrid.protocol.messages import Done, Search
from p2pgrid.protocol.queries import Query
from tests.contract.links import against_raw, echo, ignore, linked, outcome, question, running
from tests.contract.worlds import MIB, Memory, World, run, streams


def test_one_request_too_many_is_refused_here_and_the_link_lives(world: World) -> None:
    async def work() -> None:
        held: list[Inbound] = []
        async with linked(world, far_answers=held.append) as (near, _):
            futures = [near.request(question(number)) for number in range(64)]
            with pytest.raises(BusyError, match="64"):
                near.request(question(64))
            while len(held) < 64:
                await trio.lowlevel.checkpoint()
            echo(held[30])
            await outcome(futures[30])
            near.request(question(65))
            while len(held) < 65:
                await trio.lowlevel.checkpoint()
            assert near.is_open

    run(world, work)


def test_a_patient_peer_whose_requests_expire_is_not_hung_up_on(world: World) -> None:
    async def work() -> None:
        held: list[Inbound] = []
        few = Limits(requests=3)
        async with linked(world, far_answers=held.append, limits=few) as (near, _):
            late = [near.request(question(number), timeout_s=0.2) for number in range(3)]
            for future in late:
                assert isinstance(await outcome(future), RemoteTimeoutError)
            with pytest.raises(BusyError, match="3"):
                near.request(question(3))
            while len(held) < 3:
                await trio.lowlevel.checkpoint()
            echo(held[0])
            while True:
                with suppress(BusyError):
                    near.request(question(4))
                    break
                await trio.lowlevel.checkpoint()
            while len(held) < 4:
                await trio.lowlevel.checkpoint()
            assert near.is_open

    run(world, work)


def test_too_many_bytes_that_wait_are_refused_here(world: World) -> None:
    async def work() -> None:
        limits = Limits(queue=2 * MIB)
        async with (
            streams(world) as (one, _),  # nobody reads at the other end
            running(one, ignore, limits=limits) as link,
        ):
            link.request(question(1), [bytes(MIB)])
            link.request(question(2), [bytes(MIB)])
            with pytest.raises(BusyError, match=str(2 * MIB)):
                link.request(question(3), [bytes(1)])
            assert 2 * MIB < link._queued < 3 * MIB
            assert link.is_open

    run(world, work)


def test_there_is_room_again_when_the_bytes_are_gone(world: World) -> None:
    async def work() -> None:
        async with linked(world, limits=Limits(queue=MIB // 2, guest_frame=2 * MIB)) as (near, _):
            for number in range(5):
                first = near.request(question(number), [bytes(MIB)])
                with pytest.raises(BusyError):
                    near.request(question(number))
                assert isinstance(await outcome(first), Reply)
            assert near._queued == 0

    run(world, work)


@pytest.mark.parametrize("size", [0, 300_000])
def test_a_peer_that_does_not_read_cannot_make_the_node_queue(world: World, size: int) -> None:
    # Of size 0 the header is what is large: such answers are never refused for their bytes.
    large = Search(Query(exact_tags=tuple(f"{number:0100}" for number in range(32))))
    limits = Limits(queue=MIB, requests=16)
    most = limits.queue + 2 * size + 2 * limits.requests * 4000

    async def work() -> None:
        queued: list[int] = []

        def answer(inbound: Inbound) -> None:
            inbound.answer(large, [bytes(size)] if size else [])
            queued.append(inbound.link._queued)

        async with against_raw(world, answer, limits=limits) as (link, peer):
            if isinstance(world, Memory):
                world.hub.faults = Faults(bytes_per_s=1000)
            with suppress(TransportError):
                for number in range(1, 100_000):
                    await peer.send(Kind.REQUEST, number, question(number))
            assert not link.is_open
            assert 0 < max(queued) <= most

    run(world, work)


def test_a_peer_that_reads_late_gets_all_answers_of_its_open_requests(world: World) -> None:
    async def work() -> None:
        async with against_raw(world) as (link, peer):
            for number in range(1, 65):
                await peer.send(Kind.REQUEST, number, question(number))
            await wait_all_tasks_blocked(0.01)
            for round_ in range(1, 4):
                for number in range(1, 65):
                    frame = await peer.receive(Kind.ANSWER)
                    assert frame.envelope.request == 64 * (round_ - 1) + number
                    await peer.send(Kind.REQUEST, 64 * round_ + number, question(number))
            assert link.is_open

    run(world, work)


def test_arrays_are_refused_as_busy_while_too_much_waits(world: World) -> None:
    async def work() -> None:
        held: list[Inbound] = []
        limits = Limits(queue=MIB)
        async with against_raw(world, held.append, limits=limits) as (_, peer):
            for number in (1, 2, 3):
                await peer.send(Kind.REQUEST, number, question(number))
            while len(held) < 3:
                await trio.lowlevel.checkpoint()
            held[0].answer(Done(), [bytes(2 * MIB)])
            held[1].answer(Done(), [bytes(2 * MIB)])
            held[2].answer(Done())
            answers = [(await peer.receive(Kind.ANSWER)).envelope for _ in range(3)]
            assert answers[1].message == faults.failure_of(BusyError(limit=MIB))
            assert [answers[0].message, answers[2].message] == [Done(), Done()]

    run(world, work)

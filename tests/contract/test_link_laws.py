"""Laws of ``Link``, whatever the wire and the peer do; see the rules at the head of its module."""

import random

import pytest
import trio

from p2pgrid.config import DEFAULT_LIMITS, Limits
from p2pgrid.errors import GetNotPermittedError, RemoteTimeoutError, TooLargeError, TransportError
from p2pgrid.net.link import Inbound, Link, Reply
from p2pgrid.protocol import faults
from p2pgrid.protocol.codec import Kind
from p2pgrid.protocol.messages import Begin, Done, Op, Operate
from tests.contract.links import (
    PATIENT,
    against_raw,
    are_all,
    echo,
    ignore,
    linked,
    number_in,
    outcome,
    outcomes,
    question,
    replies_to,
)
from tests.contract.worlds import MIB, Memory, World, run, streams

# Requests and their answers


def test_a_request_gets_its_answer_with_the_arrays(world: World) -> None:
    async def work() -> None:
        async with linked(world) as (near, far):
            far.trust()
            arrays = [b"", b"abc", bytes(3 * MIB)]
            reply = await outcome(near.request(question(7), arrays))
            assert isinstance(reply, Reply)
            assert reply.message == question(7)
            assert list(reply.buffers) == arrays
            assert near.array_bytes_received == 3 * MIB + 3

    run(world, work)


@pytest.mark.parametrize("seed", range(3))
def test_answers_may_come_in_any_order(world: World, seed: int) -> None:
    async def work() -> None:
        held: list[Inbound] = []
        async with linked(world, far_answers=held.append) as (near, _):
            futures = [near.request(question(number)) for number in range(64)]
            while len(held) < 64:
                await trio.lowlevel.checkpoint()
            random.Random(seed).shuffle(held)  # noqa: S311 an order, no key
            for inbound in held:
                echo(inbound)
            replies = await replies_to(futures)
            assert [number_in(reply.message) for reply in replies] == list(range(64))

    run(world, work)


def test_both_ends_ask_at_once(world: World) -> None:
    async def work() -> None:
        async with linked(world, near_answers=echo) as links:
            futures = [link.request(question(n)) for n in range(50) for link in links]
            replies = await replies_to(futures)
            assert [number_in(reply.message) for reply in replies] == [
                number for number in range(50) for _ in links
            ]

    run(world, work)


def test_the_error_of_the_peer_is_raised_as_what_it_was(world: World) -> None:
    def refuse(inbound: Inbound) -> None:
        inbound.answer(faults.failure_of(GetNotPermittedError(object_id="1", domain="clinic")))

    async def work() -> None:
        async with linked(world, far_answers=refuse) as (near, _):
            error = await outcome(near.request(question(1)))
            assert isinstance(error, GetNotPermittedError)
            assert (error.object_id, error.domain) == ("1", "clinic")
            assert near.is_open

    run(world, work)


def test_an_answer_that_is_too_large_is_told_instead(world: World) -> None:
    def answer_hugely(inbound: Inbound) -> None:
        inbound.answer(Done(), [bytes(5000)])

    async def work() -> None:
        limits = Limits(frame=4000, guest_frame=4000)
        async with linked(world, far_answers=answer_hugely, limits=limits) as (near, _):
            assert isinstance(await outcome(near.request(question(1))), TooLargeError)
            assert near.is_open

    run(world, work)


def test_a_request_without_an_answer_ends_at_its_deadline(world: World) -> None:
    async def work() -> None:
        async with linked(world, far_answers=ignore) as (near, _):
            began = trio.current_time()
            late = near.request(question(1), timeout_s=0.4)
            sooner = near.request(question(2), timeout_s=0.2)
            assert isinstance(await outcome(sooner), RemoteTimeoutError)
            sooner_s = trio.current_time() - began
            assert isinstance(await outcome(late), RemoteTimeoutError)
            late_s = trio.current_time() - began
            assert sooner_s >= 0.2
            assert late_s >= 0.4
            if isinstance(world, Memory):
                assert (sooner_s, late_s) == pytest.approx((0.2, 0.4))
            assert near.is_open

    run(world, work)


def test_an_answer_after_the_deadline_is_dropped_and_the_link_lives(world: World) -> None:
    async def work() -> None:
        held: list[Inbound] = []
        async with linked(world, far_answers=held.append) as (near, _):
            future = near.request(question(1), timeout_s=0.2)
            assert isinstance(await outcome(future), RemoteTimeoutError)
            while not held:
                await trio.lowlevel.checkpoint()
            echo(held[0])
            next_one = near.request(question(2))
            while len(held) < 2:
                await trio.lowlevel.checkpoint()
            echo(held[1])
            assert isinstance(await outcome(next_one), Reply)

    run(world, work)


def test_a_request_that_was_given_up_disturbs_nobody(world: World) -> None:
    async def work() -> None:
        held: list[Inbound] = []
        async with linked(world, far_answers=held.append) as (near, _):
            abandoned, kept = near.request(question(1)), near.request(question(2))
            assert abandoned.cancel()
            while len(held) < 2:
                await trio.lowlevel.checkpoint()
            for inbound in held:
                echo(inbound)
            assert isinstance(await outcome(kept), Reply)

    run(world, work)


@pytest.mark.parametrize("who", ["near", "far"])
def test_the_end_of_the_link_ends_all_requests_and_later_ones(world: World, who: str) -> None:
    async def work() -> None:
        async with linked(world, far_answers=ignore, timing=PATIENT) as (near, far):
            futures = [near.request(question(number)) for number in range(10)]
            (near if who == "near" else far).close_soon("that was all")
            assert are_all(TransportError, await outcomes(futures))
            await near.over.wait()
            await far.over.wait()
            for link in (near, far):
                with pytest.raises(TransportError):
                    link.request(question(11))
                link.close("again")
                link.close_soon("and again")

    run(world, work)


def test_an_answer_to_a_link_that_is_over_is_dropped(world: World) -> None:
    async def work() -> None:
        held: list[Inbound] = []
        async with linked(world, far_answers=held.append) as (near, far):
            near.request(question(1))
            while not held:
                await trio.lowlevel.checkpoint()
            far.close("that was all")
            echo(held[0])

    run(world, work)


def test_a_link_that_is_cancelled_ends_its_requests(world: World) -> None:
    async def work() -> None:
        async with streams(world) as (stream, _), trio.open_nursery() as nursery:
            link = Link(
                stream,
                dialled=True,
                limits=DEFAULT_LIMITS,
                timing=PATIENT,
                on_request=ignore,
            )
            future = link.request(question(1))
            nursery.start_soon(link.run)
            nursery.cancel_scope.cancel()
        assert isinstance(future.exception(timeout=0), TransportError)
        assert not link.is_open

    run(world, work)


def test_a_message_that_cannot_be_encoded_leaves_no_request_behind(world: World) -> None:
    async def work() -> None:
        async with linked(world, limits=Limits(requests=1)) as (near, _):
            impossible = Operate(ops=(Op(name="add", out=bytes(16), inputs=(2**70,)),))
            with pytest.raises(OverflowError):
                near.request(impossible)
            with pytest.raises(TooLargeError):
                near.request(question(1), [bytes(65 * MIB)])
            assert isinstance(await outcome(near.request(question(2))), Reply)

    run(world, work)


def test_an_answer_that_cannot_be_encoded_leaves_the_request_to_be_answered(world: World) -> None:
    def answer(inbound: Inbound) -> None:
        with pytest.raises(OverflowError):
            inbound.answer(Operate(ops=(Op(name="add", out=bytes(16), inputs=(2**70,)),)))
        echo(inbound)

    async def work() -> None:
        async with linked(world, far_answers=answer) as (near, _):
            assert isinstance(await outcome(near.request(question(1))), Reply)

    run(world, work)


# A request is handled at most once


def test_a_repeated_request_is_handled_once(world: World) -> None:
    async def work() -> None:
        handled: list[int] = []

        def note(inbound: Inbound) -> None:
            handled.append(number_in(inbound.message))
            echo(inbound)

        async with against_raw(world, note) as (_, peer):
            for number in (1, 1, 2, 1, 2, 3):
                await peer.send(Kind.REQUEST, number, question(number))
            numbers = [(await peer.receive(Kind.ANSWER)).envelope.request for _ in range(3)]
            await peer.send(Kind.REQUEST, 2, question(2))
            await peer.send(Kind.REQUEST, 4, question(4))
            assert (await peer.receive(Kind.ANSWER)).envelope.request == 4
            assert (numbers, handled) == ([1, 2, 3], [1, 2, 3, 4])

    run(world, work)


def test_a_request_that_is_answered_twice_is_answered_once(world: World) -> None:
    async def work() -> None:
        def answer_twice(inbound: Inbound) -> None:
            inbound.answer(question(1))
            inbound.answer(question(2))

        async with against_raw(world, answer_twice) as (_, peer):
            await peer.send(Kind.REQUEST, 1, Begin())
            await peer.send(Kind.REQUEST, 2, Begin())
            answers = [(await peer.receive(Kind.ANSWER)).envelope for _ in range(2)]
            assert [(a.request, a.message) for a in answers] == [(1, question(1)), (2, question(1))]

    run(world, work)


def test_a_repeated_answer_is_dropped(world: World) -> None:
    async def work() -> None:
        async with against_raw(world) as (link, peer):
            futures = [link.request(question(number)) for number in (1, 2)]
            await peer.send(Kind.ANSWER, 1, question(1))
            await peer.send(Kind.ANSWER, 1, question(9))
            await peer.send(Kind.ANSWER, 2, question(2))
            replies = await replies_to(futures)
            assert [number_in(reply.message) for reply in replies] == [1, 2]
            assert link.is_open

    run(world, work)

"""Laws of ``Link``, whatever the wire and the peer do; see the rules at the head of its module."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import example, given, strategies as st
from trio.testing import wait_all_tasks_blocked

from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.errors import (
    BusyError,
    GetNotPermittedError,
    P2PGridError,
    RemoteTimeoutError,
    TooLargeError,
    TransportError,
)
from p2pgrid.net.link import Inbound, Link, OnRequest, Reply
from p2pgrid.net.memory import Faults, MemoryHub
from p2pgrid.net.transport import FrameStream
from p2pgrid.protocol import codec, faults
from p2pgrid.protocol.codec import Kind
from p2pgrid.protocol.messages import Begin, Done, Op, Operate, Search
from tests.contract.worlds import (
    DAY_S,
    MIB,
    Libp2p,
    Memory,
    RawPeer,
    Served,
    World,
    peer_of,
    raw,
    run,
    served,
    streams,
)

PATIENT = Timing(request_s=DAY_S)
UNHURRIED = Timing(request_s=DAY_S, ping_every_s=2 * DAY_S, silent_after_s=2 * DAY_S)
"""For peers that a test plays: without it, their silence would end the link in the end."""


def question(number: int) -> Search:
    return Search(tags=(str(number),))


def number_in(message: object) -> int:
    assert isinstance(message, Search)
    return int(message.tags[0])


def echo(inbound: Inbound) -> None:
    inbound.answer(inbound.message, inbound.buffers)


def ignore(_: Inbound) -> None:
    """Never answers."""


async def outcome(future: Future[Reply]) -> Reply | P2PGridError:
    """What became of a request; waits for it in trio."""
    done = trio.Event()
    future.add_done_callback(lambda _: done.set())  # called in the network thread
    await done.wait()
    error = future.exception()
    if error is None:
        return future.result()
    assert isinstance(error, P2PGridError)
    return error


async def replies_to(futures: Iterable[Future[Reply]]) -> list[Reply]:
    """The answers to requests of which none may fail."""
    replies = []
    for future in futures:
        result = await outcome(future)
        assert isinstance(result, Reply)
        replies.append(result)
    return replies


async def outcomes(futures: Iterable[Future[Reply]]) -> list[Reply | P2PGridError]:
    return [await outcome(future) for future in futures]


def are_all(kind: type[Reply | P2PGridError], results: Iterable[object]) -> bool:
    return all(isinstance(result, kind) for result in results)


@asynccontextmanager
async def running(
    stream: FrameStream,
    on_request: OnRequest,
    *,
    dialled: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    timing: Timing = DEFAULT_TIMING,
) -> AsyncIterator[Link]:
    """A link over one end of a stream; closed at the end, if it is not over by then."""
    link = Link(stream, dialled=dialled, limits=limits, timing=timing, on_request=on_request)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        yield link
        link.close("the test is over")


@asynccontextmanager
async def linked(
    world: World,
    near_answers: OnRequest = ignore,
    far_answers: OnRequest = echo,
    *,
    limits: Limits = DEFAULT_LIMITS,
    timing: Timing = DEFAULT_TIMING,
) -> AsyncIterator[tuple[Link, Link]]:
    """Links over both ends of a stream."""
    async with (
        streams(world) as (one, two),
        running(one, near_answers, limits=limits, timing=timing) as near,
        running(two, far_answers, dialled=False, limits=limits, timing=timing) as far,
    ):
        yield near, far


@asynccontextmanager
async def against_raw(
    world: World,
    on_request: OnRequest = echo,
    *,
    limits: Limits = DEFAULT_LIMITS,
    timing: Timing = UNHURRIED,
) -> AsyncIterator[tuple[Link, RawPeer]]:
    """A node's end of a link, as yet without login, and a peer that obeys only the test."""
    async with (
        streams(world) as (one, two),
        running(two, on_request, dialled=False, limits=limits, timing=timing) as link,
    ):
        yield link, RawPeer(one)


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


# Seeded faults


@dataclass
class Story:
    """What happened at both ends of a faulty wire."""

    asked: dict[tuple[str, int], float] = field(default_factory=dict)
    ended: dict[tuple[str, int], float] = field(default_factory=dict)
    outcomes: dict[tuple[str, int], Reply | BaseException] = field(default_factory=dict)
    handled: Counter[tuple[str, int]] = field(default_factory=Counter)

    def ask(self, side: str, link: Link, number: int, timeout_s: float) -> None:
        key = (side, number)
        try:
            future = link.request(question(number), timeout_s=timeout_s)
        except TransportError:
            return
        self.asked[key] = trio.current_time() + timeout_s
        future.add_done_callback(lambda done: self.end(key, done))

    def end(self, key: tuple[str, int], done: Future[Reply]) -> None:
        assert key not in self.ended
        self.ended[key] = trio.current_time()
        self.outcomes[key] = done.exception() or done.result()

    def handler(self, side: str, delays: random.Random, nursery: trio.Nursery) -> OnRequest:
        """Answers after a while, or never."""

        async def answer(inbound: Inbound) -> None:
            await trio.sleep(delays.uniform(0, 3))
            echo(inbound)

        def handle(inbound: Inbound) -> None:
            self.handled[side, number_in(inbound.message)] += 1
            if delays.random() < 0.9:
                nursery.start_soon(answer, inbound)

        return handle


CHANCES = st.sampled_from([0.0, 0.01, 0.1, 0.5])


@given(
    seed=st.integers(0, 2**32 - 1),
    drop=CHANCES,
    duplicate=CHANCES,
    disconnect=CHANCES,
    delay_s=st.sampled_from([0.0, 0.1, 3.0]),
)
@example(seed=0, drop=0.0, duplicate=1.0, disconnect=0.0, delay_s=0.0)
@example(seed=0, drop=1.0, duplicate=0.0, disconnect=0.0, delay_s=0.0)
@example(seed=0, drop=0.0, duplicate=0.0, disconnect=0.0, delay_s=20.0)
def test_under_faults_requests_end_in_time_and_are_handled_once(
    seed: int, drop: float, duplicate: float, disconnect: float, delay_s: float
) -> None:
    story = Story()
    chance = random.Random(seed)  # noqa: S311 faults, not keys
    memory = Memory(MemoryHub(seed, Faults(drop, duplicate, disconnect, delay_s)))

    async def ask_often(side: str, link: Link) -> None:
        for number in range(1, 30):
            story.ask(side, link, number, timeout_s=chance.uniform(0.1, 10))
            await trio.sleep(chance.choice([0, 0, 0.1, 1]))

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            answers = [story.handler(side, chance, nursery) for side in ("far", "near")]
            async with linked(memory, *answers) as (near, far):
                async with trio.open_nursery() as askers:
                    askers.start_soon(ask_often, "near", near)
                    askers.start_soon(ask_often, "far", far)
                await trio.sleep(20)
                assert not near._waiting
                assert not far._waiting

    run(memory, work)
    assert story.ended.keys() == story.asked.keys()
    for key, at in story.ended.items():
        assert at <= story.asked[key] + 1e-6
    assert set(story.handled.values()) <= {1}
    for (side, number), result in story.outcomes.items():
        if isinstance(result, Reply):
            assert number_in(result.message) == number
            assert story.handled[side, number] == 1
        else:
            assert isinstance(result, TransportError)
    if disconnect == drop == 0 and delay_s < 3:  # nothing broke
        assert all(
            isinstance(result, Reply | RemoteTimeoutError) for result in story.outcomes.values()
        )


# What waits is bounded


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
    large = Search(tags=tuple("x" * 100 for _ in range(32)))
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


# Peers that break the protocol


async def answer_what_nobody_asked(peer: RawPeer) -> None:
    await peer.send(Kind.ANSWER, 77, Done())


async def answer_number_zero(peer: RawPeer) -> None:
    await peer.send(Kind.ANSWER, 0, Done())


async def answer_without_a_message(peer: RawPeer) -> None:
    await peer.send(Kind.ANSWER, 1)


async def ask_without_a_message(peer: RawPeer) -> None:
    await peer.send(Kind.REQUEST, 1)


async def ask_too_often(peer: RawPeer) -> None:
    for number in range(1, 66):
        await peer.send(Kind.REQUEST, number, question(number))


async def send_garbage(peer: RawPeer) -> None:
    await peer.stream.send(raw(b"\x00garbage"))


async def send_half_a_header(peer: RawPeer) -> None:
    await peer.stream.send(raw(b"\xff\xff\xff\x7f"))


async def send_http(peer: RawPeer) -> None:
    await peer.stream.send([b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"])


async def claim_other_buffers(peer: RawPeer) -> None:
    chunks = codec.encode(Kind.REQUEST, 1, Begin(), [b"abc"], limit=1000)
    await peer.stream.send(raw(b"".join(chunks)[4:-1]))


async def send_more_than_a_guest_may(peer: RawPeer) -> None:
    await peer.send(Kind.REQUEST, 1, question(1), [bytes(MIB)])


RUDE = [
    answer_what_nobody_asked,
    answer_number_zero,
    answer_without_a_message,
    ask_without_a_message,
    ask_too_often,
    send_garbage,
    send_half_a_header,
    send_http,
    claim_other_buffers,
    send_more_than_a_guest_may,
]


async def expect_a_hang_up(
    peers: list[Served], offend: Callable[[RawPeer], Awaitable[None]]
) -> None:
    node, rude, polite = peers
    bad, good = await rude.dial(node), await polite.dial(node)
    ends = {stream.peer: stream for stream in [await node.came.receive() for _ in "12"]}
    async with (
        running(ends[peer_of(2)], ignore, dialled=False, timing=UNHURRIED) as bad_link,
        running(ends[peer_of(3)], echo, dialled=False) as good_link,
        running(good, ignore) as polite_link,
    ):
        pending = bad_link.request(question(1))
        peer = RawPeer(bad)
        with suppress(TransportError):  # hung up on in the middle
            await offend(peer)
        await peer.until_over()
        assert isinstance(await outcome(pending), TransportError)
        assert not bad_link.is_open
        assert isinstance(await outcome(polite_link.request(question(2))), Reply)
        assert good_link.is_open
        await bad.aclose()


@pytest.mark.parametrize("offend", RUDE, ids=lambda offend: offend.__name__)
def test_a_rude_peer_is_hung_up_on_and_others_are_served(
    offend: Callable[[RawPeer], Awaitable[None]],
) -> None:
    async def work() -> None:
        async with served(memory, 1, 2, 3) as peers:
            await expect_a_hang_up(peers, offend)

    memory = Memory()
    run(memory, work)


@pytest.mark.libp2p
def test_rude_peers_are_hung_up_on_over_libp2p_one_after_the_other() -> None:
    async def work() -> None:
        async with served(world, 1, 2, 3) as peers:
            for offend in RUDE:
                await expect_a_hang_up(peers, offend)

    world = Libp2p()
    run(world, work)


def test_after_the_login_larger_frames_may_come(world: World) -> None:
    async def work() -> None:
        async with linked(world) as (near, far):
            far.trust()
            assert isinstance(await outcome(near.request(question(1), [bytes(2 * MIB)])), Reply)

    run(world, work)


def test_pings_need_no_manners(world: World) -> None:
    async def work() -> None:
        async with against_raw(world) as (link, peer):
            await peer.send(Kind.PING, 0)
            await peer.send(Kind.PING, 5, Done(), [b"abc"])
            await peer.send(Kind.REQUEST, 1, question(1))
            await peer.receive(Kind.ANSWER)
            assert link.is_open

    run(world, work)


# Heartbeats; by the virtual clock


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

"""Laws of ``FrameStream`` and ``Transport``: what a link may take for granted below it."""

import tracemalloc
from contextlib import suppress

import pytest
import trio

from p2pgrid.errors import (
    IdentityMismatchError,
    PeerUnreachableError,
    RemoteProtocolError,
    TransportError,
)
from p2pgrid.net.memory import Faults
from p2pgrid.net.streams import Libp2pTransport
from p2pgrid.net.transport import FrameStream
from p2pgrid.protocol.codec import PREFIX_BYTES
from tests.contract.worlds import (
    MIB,
    TEST_S,
    Libp2p,
    Libp2pOnly,
    Memory,
    RawPeer,
    World,
    peer_of,
    raw,
    run,
    served,
    streams,
)

SIZES = (0, 1, 1000, (1 << 16) - 1, 1 << 16, (1 << 18) + 1, 5 * MIB)
"""Below and above what is joined to one write and what is read at once."""


@pytest.fixture(
    params=[
        Memory,
        pytest.param(Libp2p, marks=pytest.mark.libp2p),
        pytest.param(Libp2pOnly, marks=pytest.mark.libp2p),
    ]
)
def world(request: pytest.FixtureRequest) -> World:
    """A link sees no difference above this seam, so only its own laws hold in all three."""
    made: World = request.param()
    return made


def body(size: int, mark: int) -> bytes:
    """A frame's body with ``size`` bytes of payload; no two marks give the same."""
    return mark.to_bytes(PREFIX_BYTES, "little") + bytes([mark]) * size


def test_frames_arrive_whole_and_in_order_in_both_directions(world: World) -> None:
    async def work() -> None:
        async with streams(world) as ends, trio.open_nursery() as nursery:
            bodies = [body(size, mark) for mark, size in enumerate(SIZES + SIZES[::-1])]

            async def write(end: FrameStream) -> None:
                for each in bodies:
                    await end.send([len(each).to_bytes(4, "little"), each[:7], each[7:]])

            async def read(end: FrameStream) -> None:
                for each in bodies:
                    assert await end.receive(limit=8 * MIB) == each

            for end in ends:
                nursery.start_soon(write, end)
                nursery.start_soon(read, end)

    run(world, work)


def test_many_small_frames_are_not_merged_or_lost(world: World) -> None:
    async def work() -> None:
        async with streams(world) as (near, far), trio.open_nursery() as nursery:

            async def write() -> None:
                for mark in range(500):
                    await near.send(raw(body(mark % 5, mark % 256)))

            nursery.start_soon(write)
            for mark in range(500):
                assert await far.receive(limit=100) == body(mark % 5, mark % 256)

    run(world, work)


def test_each_end_knows_who_is_at_the_other(world: World) -> None:
    async def work() -> None:
        async with served(world, 1, 2, 3) as (one, two, three):
            near = [await one.dial(two), await three.dial(two)]
            far = [await two.came.receive(), await two.came.receive()]
            assert [end.peer for end in near] == [peer_of(2), peer_of(2)]
            assert [end.peer for end in far] == [peer_of(1), peer_of(3)]
            for end in near + far:
                await end.aclose()

    run(world, work)


@pytest.mark.parametrize("claim", [1001, 64 * MIB, 2**32 - 1, 0, 3])
def test_an_impossible_claim_is_refused_before_memory_is_taken(world: World, claim: int) -> None:
    async def work() -> None:
        async with streams(world) as (near, far):
            await near.send([claim.to_bytes(4, "little")])
            tracemalloc.start()
            try:
                with pytest.raises(RemoteProtocolError):
                    await far.receive(limit=1000)
                assert tracemalloc.get_traced_memory()[1] < MIB
            finally:
                tracemalloc.stop()

    run(world, work)


def test_a_frame_may_be_exactly_as_large_as_the_limit(world: World) -> None:
    async def work() -> None:
        async with streams(world) as (near, far):
            await near.send(raw(bytes(1000)))
            assert len(await far.receive(limit=1000)) == 1000

    run(world, work)


@pytest.mark.libp2p
def test_memory_grows_with_what_came_not_with_what_is_claimed() -> None:
    async def work() -> None:
        async with streams(Libp2p()) as (near, far):
            tracemalloc.start()
            try:
                await near.send([(60 * MIB).to_bytes(4, "little"), bytes(1000)])
                with trio.move_on_after(0.1):
                    await far.receive(limit=64 * MIB)
                assert tracemalloc.get_traced_memory()[1] < MIB
            finally:
                tracemalloc.stop()

    run(Libp2p(), work)


@pytest.mark.libp2p
def test_bytes_are_heard_before_their_frame_is_complete() -> None:
    async def work() -> None:
        async with streams(Libp2p()) as (near, far), trio.open_nursery() as nursery:
            nursery.start_soon(receive, far)
            connected_at = far.heard_at
            await near.send([(10 * MIB).to_bytes(4, "little"), bytes(1000)])
            while far.heard_at == connected_at:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    run(Libp2p(), work)


def test_bytes_are_heard_in_memory_at_the_speed_of_the_wire() -> None:
    async def work() -> None:
        memory = Memory()
        memory.hub.faults = Faults(bytes_per_s=MIB)
        async with streams(memory) as (near, far), trio.open_nursery() as nursery:
            began = trio.current_time()
            nursery.start_soon(near.send, raw(bytes(10 * MIB)))
            await trio.sleep(5.25)  # of the virtual clock
            assert far.heard_at == began + 5
            assert len(await far.receive(limit=64 * MIB)) == 10 * MIB
            assert 10 <= trio.current_time() - began < 11

    run(Memory(), work)


async def receive(end: FrameStream) -> None:
    await end.receive(limit=64 * MIB)


async def expect_over(end: FrameStream) -> None:
    """The stream is over and stays over, in both directions."""
    await RawPeer(end).until_over()
    for _ in range(3):
        with pytest.raises(TransportError):
            await end.send(raw(bytes(10)))
        with pytest.raises(TransportError):
            await end.receive(limit=MIB)


def test_after_a_close_both_ends_are_over_for_good(world: World) -> None:
    async def work() -> None:
        async with streams(world) as (near, far):
            await near.send(raw(bytes(10)))
            await near.aclose()
            await expect_over(near)
            await expect_over(far)
            await near.aclose()
            await far.aclose()
            await expect_over(far)

    run(world, work)


def test_a_close_wakes_whoever_waits_at_either_end(world: World) -> None:
    async def work() -> None:
        async with streams(world) as (near, far), trio.open_nursery() as nursery:
            woken = trio.Event()

            async def wait(end: FrameStream) -> None:
                with pytest.raises(TransportError):
                    await end.receive(limit=MIB)

            async def wait_to_write() -> None:
                with suppress(TransportError):
                    while True:
                        await far.send(raw(bytes(1 << 18)))
                woken.set()

            nursery.start_soon(wait, far)
            nursery.start_soon(wait_to_write)
            await near.receive(limit=MIB)
            await near.aclose()
            await woken.wait()

    run(world, work)


def test_a_writer_waits_for_the_reader_and_can_close_meanwhile(world: World) -> None:
    async def work() -> None:
        async with streams(world) as (near, _):
            with trio.move_on_after(0.5) as waiting:
                for _ in range(200):
                    await near.send(raw(bytes(MIB)))
            assert waiting.cancelled_caught
            began = trio.current_time()
            await near.aclose()
            assert trio.current_time() - began < 2
            await expect_over(near)

    run(world, work)


def test_a_cancelled_task_can_close(world: World) -> None:
    async def work() -> None:
        async with streams(world) as (near, far):
            with trio.CancelScope() as scope:
                scope.cancel()
                await near.aclose()
            await expect_over(far)

    run(world, work)


def test_one_stream_that_ends_leaves_the_others_of_the_pair_alone(world: World) -> None:
    async def work() -> None:
        async with served(world, 1, 2) as (one, two):
            first, second = await one.dial(two), await one.dial(two)
            ends = [await two.came.receive(), await two.came.receive()]
            await first.aclose()
            await second.send(raw(b"hello"))
            closed = [end for end in ends if not await arrives(end, b"hello")]
            assert len(closed) == 1
            for end in (second, *ends):
                await end.aclose()

    run(world, work)


async def arrives(end: FrameStream, expected: bytes) -> bool:
    try:
        return await end.receive(limit=100) == expected
    except TransportError:
        return False


def test_a_dial_to_nobody_ends_in_time(world: World) -> None:
    async def work() -> None:
        async with served(world, 1) as (one,):
            async with served(world, 2) as (two,):
                gone = two.transport.addresses
            with pytest.raises(PeerUnreachableError), trio.fail_after(TEST_S / 2):
                await one.transport.dial(peer_of(2), gone, timeout_s=5)

    run(world, work)


def test_a_peer_that_is_back_is_dialled_at_once(world: World) -> None:
    async def work() -> None:
        async with served(world, 1) as (one,):
            async with served(world, 2) as (two,):
                before = await one.dial(two)
            with pytest.raises(TransportError):
                await one.dial(two)
            async with served(world, 2) as (two,):
                after = await one.dial(two)
                await after.send(raw(b"back"))
                end = await two.came.receive()
                assert await end.receive(limit=100) == b"back"
                await after.aclose()
            await before.aclose()

    run(world, work)


@pytest.mark.libp2p
def test_a_peer_that_connects_and_then_says_nothing_is_unreachable() -> None:
    async def never(_: object) -> None:
        await trio.sleep_forever()

    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            assert isinstance(two.transport, Libp2pTransport)
            two.transport.host.get_network().common_stream_handler = never
            for _ in range(2):  # over a new connection, and over the one there is
                with pytest.raises(PeerUnreachableError, match="no answer"):
                    await one.dial(two, timeout_s=1)

    run(Libp2p(), work)


@pytest.mark.libp2p
def test_somebody_else_at_the_address_is_not_taken_for_the_peer() -> None:
    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            places = [address.split("/p2p/")[0] for address in two.transport.addresses]
            with pytest.raises(IdentityMismatchError):
                await one.transport.dial(peer_of(3), places, timeout_s=TEST_S)
            assert two.came.statistics().current_buffer_used == 0

    run(Libp2p(), work)


def test_a_frozen_peer_cannot_be_dialled_until_it_thaws() -> None:
    async def work() -> None:
        memory = Memory()
        async with served(memory, 1, 2) as (one, two):
            memory.hub.frozen.add(peer_of(2))
            began = trio.current_time()
            with pytest.raises(PeerUnreachableError):
                await one.dial(two, timeout_s=7)
            assert trio.current_time() == began + 7
            memory.hub.frozen.clear()
            await one.dial(two)

    run(Memory(), work)

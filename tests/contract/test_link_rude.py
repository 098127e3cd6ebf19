"""A peer that breaks the protocol is hung up on; others are served."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from p2pgrid.errors import TransportError
from p2pgrid.net.link import Reply
from p2pgrid.protocol import codec
from p2pgrid.protocol.codec import Kind
from p2pgrid.protocol.messages import Begin, Done
from tests.contract.links import (
    UNHURRIED,
    against_raw,
    echo,
    ignore,
    linked,
    outcome,
    question,
    running,
)
from tests.contract.worlds import (
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
)


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

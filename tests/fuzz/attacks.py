"""What a stranger, or an enrolled scientist, can throw at the port of a live node.

Each attack has the network to itself: a host with an identity of its own, which it leaves without
a good-bye. None waits for an answer longer than ``ANSWER_S``.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import trio
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.kad_dht.common import PROTOCOL_ID as KAD_PROTOCOL
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from p2pgrid.errors import NetworkError
from p2pgrid.ids import PeerId
from p2pgrid.net.addresses import parse_address
from p2pgrid.net.host import CONTROL_PROTOCOL, build_host, connect, running
from p2pgrid.net.streams import Libp2pStream
from p2pgrid.protocol import codec
from p2pgrid.protocol.codec import Kind
from p2pgrid.protocol.messages import (
    Begin,
    Challenge,
    Get,
    Login,
    Message,
    Op,
    Operand,
    Operate,
    Param,
    Session,
    Slice,
)
from p2pgrid.protocol.operations import REGISTRY
from p2pgrid.protocol.statements import sign_login
from tests.fuzz.live_node import VALUES
from tests.fuzz.mutation import CLAIMS, mutate
from tests.fuzz.net import dht_questions
from tests.fuzz.wire import frames

ANSWER_S = 2.0
LISTEN_S = 0.1
MIB = 1 << 20
NOISE_FIRST = b"\x13/multistream/1.0.0\n\x07/noise\n"
# What a node that hangs up on us in the middle of an attack makes of our next write or read.
HUNG_UP = (
    *(BaseLibp2pError, NetworkError, OSError, trio.TooSlowError),
    *(trio.BrokenResourceError, trio.ClosedResourceError),
)


@dataclass(frozen=True)
class Victim:
    """The node, and a key that it has enrolled."""

    address: str
    seed: bytes
    now: float

    @property
    def peer(self) -> PeerId:
        return parse_address(self.address)[0]

    async def tcp(self) -> trio.SocketStream:
        place = Multiaddr(self.address)
        port = int(place.value_for_protocol("tcp"))
        return await trio.open_tcp_stream(place.value_for_protocol("ip4"), port)


Attack = Callable[[Victim, Random], Awaitable[None]]


async def garbage(victim: Victim, chance: Random) -> None:
    """Random bytes, with and without the first words of a handshake."""
    for head in (b"", b"\x13/multistream/1.0.0\n", NOISE_FIRST, b"GET / HTTP/1.1\r\n\r\n"):
        async with await victim.tcp() as tcp:
            await tcp.send_all(head + chance.randbytes(chance.choice([0, 1, 100, 70_000])))


async def half_open(victim: Victim, chance: Random) -> None:
    """Connections that stop in the middle of a handshake, all open at once."""
    async with trio.open_nursery() as nursery:

        async def stall(head: bytes) -> None:
            async with await victim.tcp() as tcp:
                await tcp.send_all(head)
                with trio.move_on_after(0.5):
                    while await tcp.receive_some():
                        pass

        for _ in range(20):
            nursery.start_soon(stall, NOISE_FIRST[: chance.randrange(len(NOISE_FIRST))])


async def drip(victim: Victim, chance: Random) -> None:
    """A handshake and a frame that come byte by byte."""
    async with await victim.tcp() as tcp:
        for byte in NOISE_FIRST:
            await tcp.send_all(bytes([byte]))
    async with _stream(victim, chance) as stream:
        for byte in chance.choice(frames())[:60]:
            await stream.write(bytes([byte]))


async def yamux_garbage(victim: Victim, chance: Random) -> None:
    """Behind a good handshake: yamux headers with claims, unknown types and flags, and noise."""
    headers = [
        bytes([0, kind, 0, flags]) + chance.randbytes(4) + size.to_bytes(4)
        for kind in (0, 1, 2, 3, 9)
        for flags in (0, 1, 4, 8, 255)
        for size in (0, 1 << 18, (1 << 32) - 1)
    ]
    for data in (b"".join(headers[::-1]), chance.choice(headers), chance.randbytes(1000)):
        async with _stream(victim, chance) as stream:
            await stream.muxed_conn.secured_conn.write(data)
            await _until_hung_up(stream)


async def broken_frames(victim: Victim, chance: Random) -> None:
    """Frames that are none, or claim what does not come."""
    seeds = frames()
    for _ in range(6):
        data = mutate(chance.choice(seeds), [*seeds, *CLAIMS], chance)[: 2 * MIB]
        async with _stream(victim, chance) as stream:
            await stream.write(data)
            await _until_hung_up(stream)


async def rude_guest(victim: Victim, chance: Random) -> None:
    """Every message as request and as answer, numbers used twice, and pings with baggage."""
    numbers = [0, 1, 1, 7, 7, 3, (1 << 62) - 1]
    for frame in chance.sample(frames(), 8):
        message = codec.decode(frame[4:]).envelope.message
        kind = chance.choice([Kind.REQUEST, Kind.REQUEST, Kind.ANSWER, Kind.PING])
        async with _stream(victim, chance) as stream:
            await _send(stream, Kind.REQUEST, 1, Begin())
            for _ in range(2):
                await _send(stream, kind, chance.choice(numbers), message, b"x" * 1000)
            await _until_hung_up(stream)


async def rude_scientist(victim: Victim, chance: Random) -> None:
    """After a good login: other people's names, operations of all kinds, and no end of them."""
    for hostile in (*(_operations,) * 4, _other_names, _replays):
        async with _stream(victim, chance) as stream:
            prefix = await _logged_in(stream, victim)
            for number, message in enumerate(hostile(prefix, chance), 3):
                await _send(stream, Kind.REQUEST, number, message)
            await _until_hung_up(stream)


async def many_streams(victim: Victim, chance: Random) -> None:
    """Streams of every protocol, and of one unheard of, that are opened and left alone."""
    async with _host(victim, chance) as host:
        remote = ID.from_string(victim.peer)
        for number in range(60):
            protocol = chance.choice([CONTROL_PROTOCOL, KAD_PROTOCOL, "/ipfs/id/1.0.0", "/none/1"])
            with trio.move_on_after(ANSWER_S), contextlib.suppress(*HUNG_UP):
                stream = await host.new_stream(remote, [TProtocol(protocol)])
                if number % 2:
                    await stream.write(chance.randbytes(20))


async def dht_garbage(victim: Victim, chance: Random) -> None:
    """Questions of the DHT from a peer that speaks our protocol, whole and broken."""
    seeds = dht_questions()
    async with _host(victim, chance) as host:
        for _ in range(12):
            data = chance.choice(seeds)
            if chance.random() < 0.8:
                data = mutate(data, seeds, chance)[:MIB]
            with trio.move_on_after(LISTEN_S), contextlib.suppress(*HUNG_UP):
                stream = await host.new_stream(ID.from_string(victim.peer), [KAD_PROTOCOL])
                await stream.write(data)
                await stream.read(1000)
                await stream.reset()


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        *(garbage, half_open, drip, yamux_garbage, broken_frames),
        *(rude_guest, rude_scientist, many_streams, dht_garbage),
    )
}


@asynccontextmanager
async def _host(victim: Victim, chance: Random) -> AsyncIterator[Any]:
    host = build_host(chance.randbytes(32), ())
    async with running(host, ()):
        await connect(host, victim.peer, [victim.address], ANSWER_S)
        yield host


@asynccontextmanager
async def _stream(victim: Victim, chance: Random) -> AsyncIterator[Any]:
    async with _host(victim, chance) as host:
        with trio.move_on_after(5 * ANSWER_S), contextlib.suppress(*HUNG_UP):
            yield await host.new_stream(ID.from_string(victim.peer), [CONTROL_PROTOCOL])


async def _until_hung_up(stream: Any) -> None:
    with trio.move_on_after(LISTEN_S):
        while await stream.read(1 << 16):
            pass


async def _send(
    stream: Any, kind: Kind, number: int, message: Message | None, *buffers: bytes
) -> None:
    await stream.write(b"".join(codec.encode(kind, number, message, buffers, limit=64 * MIB)))


async def _logged_in(stream: Any, victim: Victim) -> bytes:
    """Logs in as requests 1 and 2; the prefix of the session's names."""
    incoming = Libp2pStream(stream)

    async def ask(number: int, message: Message) -> Message | None:
        await _send(stream, Kind.REQUEST, number, message)
        while True:
            envelope = codec.decode(await incoming.receive(limit=MIB)).envelope
            if envelope.kind is Kind.ANSWER and envelope.request == number:
                return envelope.message

    challenge = await ask(1, Begin())
    assert isinstance(challenge, Challenge)
    own = PeerId(stream.muxed_conn.secured_conn.get_local_peer().to_base58())
    signed = sign_login(
        victim.seed, audience=victim.peer, peer=own, nonce=challenge.nonce, now=victim.now
    )
    session = await ask(2, Login(signed.statement, signed.signature))
    assert isinstance(session, Session)
    return session.prefix


NAMES = [*REGISTRY] * 3 + ["describe", "", "__class__", "\0", "x" * 16]
PARAMS: list[Param] = [
    *(0, -1, 1 << 62, -(1 << 62), True, None, "...", "", "float32"),
    *(1e308, float("nan"), float("inf")),
    *(Slice(), Slice(0, 1 << 60, 1), Slice(step=0), Slice(-(1 << 60), None, -1)),
    *((), (1 << 40,) * 32, (-1, -1), (0,) * 32),
]


USUAL: dict[str, list[tuple[Param, ...]]] = {
    "sum": [(0, True), (None, False)],
    "mean": [(1, False), (-1, True)],
    "getitem": [(0,), (Slice(1, None, 2), 0), ("...", None), ((0, 2),)],
}


def _operations(prefix: bytes, chance: Random) -> list[Message]:
    """Operations on what was made before: some as they should be, some with any parameters."""
    made: list[bytes] = [VALUES]
    batches: list[Message] = []
    for batch in range(8):
        ops = [
            _op(made, prefix + (1 + 4 * batch + number).to_bytes(8), chance) for number in range(4)
        ]
        made += [op.out for op in ops]
        batches.append(Operate(tuple(ops), (chance.choice(made),)))
    return [*batches, *(Get(object_id) for object_id in made[-3:])]


def _op(made: list[bytes], out: bytes, chance: Random) -> Op:
    name = chance.choice(NAMES)
    known = name in REGISTRY and chance.random() < 0.95
    arity = chance.choice((REGISTRY[name].arity if known else range(4))[:4])
    operands: list[Operand] = [*made, 1, -2.5, True, 1 << 62]
    inputs: list[Operand] = [chance.choice(made)]
    inputs += [chance.choice(operands) for _ in range(arity - 1)]
    params = chance.choice(USUAL.get(name, [()]))
    if chance.random() < 0.1:
        params = tuple(chance.sample(PARAMS, 2))
    return Op(name, out, tuple(inputs), params)


def _other_names(prefix: bytes, chance: Random) -> list[Message]:
    """Results and frees under the names of others."""
    other = chance.randbytes(8)
    return [
        Get(other + bytes(8)),
        Operate((), (VALUES, other + bytes(8), prefix + bytes(8))),
        Get(VALUES, "somebody else"),
        Operate((Op("add", other + bytes(8), (VALUES, 1)),)),
    ]


def _replays(prefix: bytes, _: Random) -> list[Message]:
    """The same name again, which is no fresh one."""
    again = Operate((Op("add", prefix + (1).to_bytes(8), (VALUES, 1)),))
    return [again, again]

"""Connections that check the first bytes: whole streams in any pieces, and nothing from outside."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio
from hypothesis import given, strategies as st
from libp2p.connection_types import ConnectionType
from libp2p.io.exceptions import IncompleteReadError

from p2pgrid.net.pnet import GREETING, ClosedConnection, OpenConnection, StrangerError
from p2pgrid.protocol.secret import Secret

KEY, OTHER = Secret(bytes(32)), Secret(bytes(range(32)))
PIECES = st.lists(st.binary(min_size=1, max_size=300), max_size=6)


class Wire:
    """One end of a raw connection: what the test feeds in comes out in pieces of its sizes."""

    is_initiator = True

    def __init__(self, sizes: Sequence[int] = ()) -> None:
        self.incoming, self.outgoing = b"", b""
        self._sizes = list(sizes)

    def get_connection_type(self) -> ConnectionType:
        return ConnectionType.DIRECT

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.outgoing += data

    async def read(self, n: int | None = None) -> bytes:
        """At the end of what was fed in, nothing, as on a connection that was closed."""
        await trio.lowlevel.checkpoint()
        size = self._sizes.pop() if self._sizes else 1 << 20
        taken = self.incoming[: min(size, len(self.incoming) if n is None else n)]
        self.incoming = self.incoming[len(taken) :]
        return taken


def run(work: Callable[[], Awaitable[None]]) -> None:
    trio.run(work)


async def said(connection: Any, wire: Wire, *pieces: bytes) -> bytes:
    for piece in pieces:
        await connection.write(piece)
    return wire.outgoing


async def heard(connection: Any, size: int) -> bytes:
    taken = b""
    while len(taken) < size:
        piece = await connection.read(size - len(taken))
        assert piece
        taken += piece
    return taken


def connections(key: Secret | None, sizes: Sequence[int] = ()) -> tuple[Any, Wire]:
    wire = Wire(sizes)
    return OpenConnection(wire) if key is None else ClosedConnection(wire, key), wire


@given(st.sampled_from([KEY, None]), PIECES, st.lists(st.integers(1, 50), max_size=40))
def test_what_is_said_is_heard_in_any_pieces(
    key: Secret | None, pieces: list[bytes], sizes: list[int]
) -> None:
    async def work() -> None:
        (one, speaking), (other, hearing) = connections(key), connections(key, sizes)
        hearing.incoming = await said(one, speaking, GREETING, *pieces)
        whole = GREETING + b"".join(pieces)
        assert await heard(other, len(whole)) == whole
        assert await other.read(1) == b""

    run(work)


@pytest.mark.parametrize(("ours", "theirs"), [(KEY, OTHER), (KEY, None), (None, KEY)])
def test_another_key_is_noticed_at_once(ours: Secret | None, theirs: Secret | None) -> None:
    async def work() -> None:
        (one, speaking), (other, hearing) = connections(theirs), connections(ours)
        hearing.incoming = await said(one, speaking, GREETING)
        with pytest.raises(StrangerError) as noticed:
            await other.read(1)
        assert noticed.value.has_key is (ours is not None)

    run(work)


@given(st.sampled_from([KEY, None]), st.binary(min_size=44, max_size=100))
def test_whatever_a_stranger_says_is_refused(key: Secret | None, noise: bytes) -> None:
    async def work() -> None:
        connection, wire = connections(key)
        wire.incoming = noise
        with pytest.raises(StrangerError):
            await connection.read(1)

    run(work)


@given(st.sampled_from([KEY, None]), st.integers(0, 19))
def test_who_hangs_up_before_greeting_is_no_stranger(key: Secret | None, size: int) -> None:
    async def work() -> None:
        connection, wire = connections(key)
        wire.incoming = GREETING[:size]
        with pytest.raises(IncompleteReadError):
            await connection.read(1)

    run(work)


def test_an_echo_of_ourselves_is_refused() -> None:
    async def work() -> None:
        connection, wire = connections(KEY)
        wire.incoming = await said(connection, wire, GREETING)
        with pytest.raises(StrangerError):
            await connection.read(1)

    run(work)


def test_on_the_wire_nothing_repeats_and_nothing_is_plain() -> None:
    async def work() -> None:
        first, second = [
            await said(*connections(KEY), GREETING, bytes(64), bytes(64)) for _ in range(2)
        ]
        assert GREETING not in first
        assert len(first) == 24 + len(GREETING) + 128
        assert first[:24] != second[:24]
        blocks = [first[44:108], first[108:], second[44:108], second[108:], bytes(64)]
        assert len(set(blocks)) == len(blocks)

    run(work)

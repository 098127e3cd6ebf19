"""Objects between two real domains: by the bulk port, with killed processes and wrong addresses."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from p2pgrid import TensorPointer
from p2pgrid.client.moves import Move
from p2pgrid.config import DEFAULT_TIMING
from p2pgrid.errors import MoveFailedError, P2PGridError, TransportError
from p2pgrid.net.bulk_pipe import Pipe
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Reply
from p2pgrid.protocol import faults
from p2pgrid.protocol.messages import Abandon, Done
from tests.fabric.moving import kept
from tests.libp2p.conftest import make_clinic

pytestmark = pytest.mark.libp2p

MIB = 1 << 20
QUICK = replace(DEFAULT_TIMING, patience_s=1.0, stall_s=1.0, silent_after_s=3.0, dial_s=2.0)
VALUES = np.random.default_rng(5).integers(0, 255, 24 * MIB, dtype=np.uint8)
TEST_S = 60.0


class Pair:
    """A domain with an array, one that takes it, and a program of the owner of both."""

    def __init__(self, home: Path) -> None:
        (home / "source").mkdir()
        (home / "target").mkdir()
        self.source, self.target = (make_clinic(home / it) for it in ("source", "target"))

    def connect(self) -> None:
        """To be called when both serve."""
        self.data, self.there = self.source.owner(), self.target.owner()
        self.data.publish("values", VALUES, allowed_domains=self.there.peer_id, progress=False)
        self.values: TensorPointer = self.data.datasets[0].pointers[0]

    def begin(self, *, addresses: Sequence[str] | None = None) -> "tuple[Move, Future[Reply]]":
        """Asks the first domain to push the array."""
        move = Move(self.values, self.there)
        message = msgspec.structs.replace(
            move._message, addresses=tuple(addresses or self.there.addresses)
        )
        return move, self.data.session_for(()).inquire(message, TEST_S)

    def close(self) -> None:
        self.source.close()
        self.target.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.close()


def strike_after(
    monkeypatch: pytest.MonkeyPatch, name: str, size: int, strike: Callable[[], None]
) -> None:
    """Does something, once, when so many bytes went by the bulk connections of this process."""
    moved, original = [0], getattr(Pipe, name)

    def watched(pipe: Pipe, data: memoryview) -> None:
        original(pipe, data)
        before = moved[0]
        moved[0] += len(data)
        if before < size <= moved[0]:
            strike()

    monkeypatch.setattr(Pipe, name, watched)


def error_of(asked: "Future[Reply]") -> P2PGridError:
    error = asked.exception(TEST_S)
    assert isinstance(error, P2PGridError)
    return error


def test_an_array_goes_straight_from_bulk_port_to_bulk_port(pair: Pair) -> None:
    source, target = pair.source.start_here(), pair.target.start_here()
    pair.connect()
    uploaded = pair.data.transfers.counters.sent
    move, asked = pair.begin()
    assert isinstance(asked.result(TEST_S).message, Done)
    assert kept(target, move.out) == [VALUES.tobytes()]
    assert source._bulk is not None
    assert target._bulk is not None
    assert source._bulk.counters.sent >= VALUES.nbytes
    assert target._bulk.counters.received >= VALUES.nbytes
    assert pair.data.transfers.counters.sent == uploaded
    assert pair.there.transfers.counters.sent == 0


def test_a_sender_that_is_killed_leaves_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = pair.source.start()
    pair.target.start_here()
    pair.connect()
    strike_after(monkeypatch, "read_into", 8 * MIB, lambda: os.kill(process.pid, signal.SIGKILL))
    move, asked = pair.begin()
    assert isinstance(error_of(asked), TransportError)
    ask(pair.there.link(), Abandon(move.out, faults.internal("cafe")), Done)
    assert pair.target.files() == set()


def test_a_receiver_that_is_killed_is_told(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.source.start_here(timing=QUICK)
    process = pair.target.start()
    pair.connect()
    strike_after(monkeypatch, "write", 8 * MIB, lambda: os.kill(process.pid, signal.SIGKILL))
    _, asked = pair.begin()
    error = error_of(asked)
    assert type(error) is MoveFailedError
    assert error.reason in {"interrupted", "unreachable"}


@pytest.mark.parametrize("who", ["nobody", "somebody else"])
def test_who_is_not_the_receiver_gets_nothing(pair: Pair, who: str) -> None:
    pair.source.start_here(timing=QUICK)
    target = pair.target.start_here()
    pair.connect()
    right = pair.there.addresses[0]
    own, other = right.split("/p2p/")[0], pair.source.address.split("/p2p/")[0]
    elsewhere = "/ip4/127.0.0.1/tcp/1" if who == "nobody" else other
    _, asked = pair.begin(addresses=(right.replace(own, elsewhere),))
    error = error_of(asked)
    assert type(error) is MoveFailedError
    assert error.reason == "unreachable"
    assert target._bulk is not None
    assert target._bulk.counters.received == 0

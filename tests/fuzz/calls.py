"""Targets: both ends of the socket between the gateway and the process of an actor."""

import asyncio
import contextlib
import functools
import socket
from typing import Any

import msgspec

import p2pgrid
from actors.frames import chunks_of
from actors.host_channel import Batch, Cancel, HostAnswer, HostCall, HostChannel
from actors.hosted import Hosted, HostThread
from p2pgrid.protocol.arrays import ArrayHeader
from p2pgrid.protocol.messages import Failure
from p2pgrid.protocol.values import ArrayValue, ListValue, Value, unpack

TARGET_S = 10.0
ARRAY = ArrayValue(ArrayHeader("float32", (2,), 0))
VALUES: tuple[Value, ...] = (1, "text", ListValue((ARRAY, None)))


@p2pgrid.export
class Echo:
    """What is called here."""

    @p2pgrid.method
    def echo(self, value: Any = None) -> None:
        """Takes anything."""


def actor_calls(data: bytes) -> None:
    """Whatever comes over an actor's socket, its thread answers calls or hangs up."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(TARGET_S)
        HostThread(theirs, Hosted("Echo", lambda: Echo, result_limit=1 << 20))
        with contextlib.suppress(ConnectionError):  # it hangs up on what is no call
            ours.sendall(data[: 1 << 15])
            ours.shutdown(socket.SHUT_WR)
            while ours.recv(1 << 16):
                pass


def call_seeds() -> list[bytes]:
    """Seeds: calls with and without arrays, and one that is cancelled."""
    calls = [HostCall(0, "", (), {}), HostCall(1, "echo", VALUES[2:], {}, (None,))]
    batch = _packed((Batch(calls), [8]), b"8 bytes!")
    return [batch, batch + _packed((Cancel(1), [])), _packed((Batch(calls[:1]), []))]


def actor_answers(data: bytes) -> None:
    """Whatever an actor's process answers, the gateway gets answers, or hangs up."""
    _loop().run_until_complete(_receive(data))


async def _receive(data: bytes) -> None:
    def answered(answer: HostAnswer, header_size: int, arrays: list[memoryview]) -> None:
        assert isinstance(answer, HostAnswer)
        assert 0 < header_size <= len(data)
        assert sum(map(len, arrays)) <= len(data)
        unpack(answer.value, arrays, resolve=lambda reference: reference)

    channel = HostChannel(answered)
    for half in (data[: len(data) // 2], data[len(data) // 2 :]):
        channel.data_received(half)


def answer_seeds() -> list[bytes]:
    """Seeds: results, one with an array, and a failure."""
    answers = [HostAnswer(number, value) for number, value in enumerate(VALUES[:2])]
    failed = HostAnswer(7, failure=Failure(610, {"call": "Echo.echo"}))
    plain = [_packed((it, [])) for it in (*answers, failed)]
    return [*plain, _packed((HostAnswer(9, VALUES[2]), [8]), b"8 bytes!"), b"".join(plain)]


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _packed(message: object, *buffers: bytes) -> bytes:
    return b"".join(chunks_of(msgspec.msgpack.encode(message), buffers))

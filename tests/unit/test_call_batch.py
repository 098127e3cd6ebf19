"""Calls in batches: nothing is over a limit of a frame, and freed names travel along."""

from collections import deque

import numpy as np

from p2pgrid.client.call_batch import (
    CALL_BYTES,
    MAX_BATCH_CALLS,
    MAX_HEADER_BYTES,
    CallBatch,
    PackedCall,
)
from p2pgrid.errors import TransportError
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.codec import MAX_BUFFERS, MAX_HEADER, Kind, encode
from p2pgrid.protocol.messages import MAX_OPERATIONS, Call, Invoke, Make
from p2pgrid.protocol.values import Packer, Value, no_references

NAME = ObjectId(bytes(16))
LIMIT = 1 << 30


def make(out: ObjectId, args: tuple[Value, ...], kwargs: object) -> Make | Call:
    del kwargs
    return Call(out, NAME, "m" * 64, args, {}, 1.5)


def call(*args: object, header_size: int = CALL_BYTES) -> PackedCall:
    buffers: list[bytes] = []
    packer = Packer(buffers, ref_of=no_references, array_limit=LIMIT)
    return PackedCall(make, tuple(packer.pack(it) for it in args), {}, buffers, header_size)


def test_a_full_batch_fits_into_a_header() -> None:
    freed = deque([NAME] * MAX_OPERATIONS)
    batch = CallBatch(freed)
    batch.take_freed()
    text = "x" * 400
    packed = call(text, header_size=CALL_BYTES + len(text) + 5)
    while batch.has_room_for(packed) and not batch.is_full:
        batch.add(NAME, packed)
    assert 1000 < len(batch.calls) < MAX_BATCH_CALLS
    message = Invoke(tuple(batch.calls), tuple(batch.free))
    header = encode(Kind.REQUEST, 1 << 60, message, [b""] * MAX_BUFFERS, limit=LIMIT)[0]
    assert MAX_HEADER_BYTES / 2 < len(header) < MAX_HEADER


def test_a_batch_is_full_by_calls_bytes_and_arrays() -> None:
    batch = CallBatch(deque())
    assert batch.is_empty
    assert not batch.has_room_for(call(header_size=MAX_HEADER_BYTES + 1))
    for _ in range(MAX_BUFFERS // 1000):
        batch.add(NAME, call(*[np.zeros(1)] * 1000))
    assert batch.has_room_for(call(*[np.zeros(1)] * 96))
    assert not batch.has_room_for(call(*[np.zeros(1)] * 97))
    assert not batch.is_full
    batch.add(NAME, call(np.zeros(1 << 20)))
    assert batch.is_full


def test_the_arrays_of_a_batch_are_numbered_through() -> None:
    batch = CallBatch(deque())
    for number in range(3):
        batch.add(NAME, call(np.array([number]), [np.array([number, number])]))
    assert [len(buffer) for buffer in batch.buffers] == [8, 16] * 3
    headers = [each.args[0].header.buffer for each in batch.calls]  # type: ignore[union-attr]
    assert headers == [0, 2, 4]


def test_what_was_freed_is_told_again_when_a_batch_is_lost() -> None:
    freed = deque([NAME])
    batch = CallBatch(freed)
    batch.take_freed()
    assert not freed
    called: list[int] = []
    batch.after(lambda: called.append(1))
    batch.fail(TransportError("the link broke"))
    batch.after(lambda: called.append(2))
    assert list(freed) == [NAME]
    assert called == [1, 2]
    assert isinstance(batch.error_of(NAME), TransportError)

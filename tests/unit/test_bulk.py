"""Chunks, progress and proofs of the bulk plane, without any I/O."""

from collections import deque

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.bulk import (
    HELLO_BYTES,
    Binding,
    ChunkHeader,
    Progress,
    check_digest,
    digest_of,
    is_proof,
    read_header,
    read_hello,
    read_mark,
    write_mark,
)

MOST = 5
BINDING = Binding(PeerId("client"), PeerId("server"), bytes(32), bytes(16))
TOKEN = bytes(range(32))


class Transfers(RuleBasedStateMachine):
    """A sender and a receiver with a wire between them that breaks whenever it likes."""

    @initialize(data=st.binary(min_size=1, max_size=60))
    def begin(self, data: bytes) -> None:
        self.data = data
        self.memory = bytearray(len(data))
        self.disk = bytearray(len(data))
        self.sender, self.receiver = Progress(len(data)), Progress(len(data))
        self.wire: deque[tuple[ChunkHeader, bytes]] = deque()
        self.marks: deque[int] = deque()

    @precondition(lambda self: self.sender.next_chunk(MOST))
    @rule()
    def send(self) -> None:
        offset, size = self.sender.moved, self.sender.next_chunk(MOST)
        chunk = self.data[offset : offset + size]
        self.wire.append((ChunkHeader(offset, size, digest_of(chunk)), chunk))
        self.sender.move(size)

    @precondition(lambda self: self.wire)
    @rule()
    def receive(self) -> None:
        header, chunk = self.wire.popleft()
        self.receiver.check(header.offset, header.size, MOST)
        check_digest(chunk, header.digest)
        assert header.offset >= self.receiver.durable  # rule 3
        self.memory[header.offset : header.offset + header.size] = chunk
        self.receiver.move(header.size)

    @rule()
    def sync(self) -> None:
        self.disk[:] = self.memory
        self.receiver.confirm(self.receiver.moved)
        self.marks.append(self.receiver.durable)

    @precondition(lambda self: self.marks)
    @rule()
    def confirm(self) -> None:
        self.sender.confirm(self.marks.popleft())

    @rule(crash=st.booleans())
    def break_off(self, crash: bool) -> None:
        """What is on the wire is lost; after a crash, also what was not durable."""
        self.wire.clear()
        self.marks.clear()
        if crash:
            self.memory[:] = self.disk
        else:
            self.sync()
            self.marks.clear()
        offset = self.receiver.resume()
        self.sender = Progress(len(self.data), durable=offset)

    @precondition(lambda self: self.receiver.next_chunk(MOST))
    @rule(shift=st.integers(-9, 9), more=st.integers(-9, 9))
    def a_chunk_out_of_place_is_refused(self, shift: int, more: int) -> None:
        before = state_of(self.receiver)
        if (shift, more) != (0, 0):
            with pytest.raises(RemoteProtocolError):
                self.receiver.check(
                    self.receiver.moved + shift, self.receiver.next_chunk(MOST) + more, MOST
                )
        assert state_of(self.receiver) == before

    @invariant()
    def what_is_durable_is_right_and_the_ends_agree(self) -> None:
        if not hasattr(self, "data"):
            return
        for end in (self.sender, self.receiver):
            assert 0 <= end.durable <= end.moved <= end.size
        assert self.sender.durable <= self.receiver.durable
        durable = self.receiver.durable
        assert self.disk[:durable] == self.data[:durable]
        if self.sender.is_whole:
            assert bytes(self.disk) == self.data


def state_of(progress: Progress) -> tuple[int, int]:
    return progress.durable, progress.moved


TestTransfers = Transfers.TestCase
TestTransfers.settings = settings(stateful_step_count=40)


@pytest.mark.parametrize("durable", [-1, 11])
def test_what_cannot_be_durable_is_refused(durable: int) -> None:
    with pytest.raises(RemoteProtocolError):
        Progress(10, durable=durable)


def test_more_than_has_moved_cannot_be_confirmed_and_an_old_mark_changes_nothing() -> None:
    progress = Progress(10)
    progress.move(6)
    with pytest.raises(RemoteProtocolError, match="7 bytes"):
        progress.confirm(7)
    progress.confirm(6)
    progress.confirm(2)
    assert (progress.durable, progress.is_whole) == (6, False)


def test_an_empty_chunk_is_refused_also_when_all_has_moved() -> None:
    progress = Progress(4)
    progress.move(4)
    with pytest.raises(RemoteProtocolError):
        progress.check(4, 0)


@given(offset=st.integers(0, 2**64 - 1), size=st.integers(0, 2**32 - 1), data=st.binary())
def test_a_header_and_a_mark_are_read_as_they_were_written(
    offset: int, size: int, data: bytes
) -> None:
    header = ChunkHeader(offset, size, digest_of(data))
    assert read_header(header.encode()) == header
    assert read_mark(write_mark(offset)) == offset


@given(chunk=st.binary(min_size=1, max_size=99), bit=st.integers(min_value=0))
def test_a_flipped_bit_is_found(chunk: bytes, bit: int) -> None:
    damaged = bytearray(chunk)
    damaged[bit // 8 % len(chunk)] ^= 1 << bit % 8
    check_digest(chunk, digest_of(chunk))
    with pytest.raises(RemoteProtocolError, match="damaged"):
        check_digest(bytes(damaged), digest_of(chunk))


def test_a_hello_shows_the_proof_and_not_the_token() -> None:
    hello = BINDING.hello(TOKEN)
    assert len(hello) == HELLO_BYTES
    assert TOKEN not in hello
    transfer_id, proof = read_hello(hello)
    assert transfer_id == BINDING.transfer_id
    assert is_proof(proof, BINDING.proof(TOKEN))


@pytest.mark.parametrize(
    "other",
    [
        BINDING._replace(client=PeerId("somebody else")),
        BINDING._replace(server=PeerId("somebody else")),
        BINDING._replace(client=PeerId("clientserv"), server=PeerId("er")),
        BINDING._replace(fingerprint=bytes(31) + b"1"),
        BINDING._replace(transfer_id=bytes(15) + b"1"),
    ],
)
def test_a_proof_is_bound_to_both_peers_the_certificate_and_the_transfer(other: Binding) -> None:
    assert not is_proof(other.proof(TOKEN), BINDING.proof(TOKEN))
    assert not is_proof(BINDING.proof(TOKEN[::-1]), BINDING.proof(TOKEN))

"""Sources give the bytes that ``raw_bytes`` gives; a sink's file is whole or absent."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from p2pgrid.errors import DiskFullError, DuplicateError, TransferError
from p2pgrid.net.bulk import Receiver
from p2pgrid.net.bulk_ends import ArraySource, BufferSink, Sink, Source
from p2pgrid.net.bulk_files import FileSink, FileSource, npy_header, publish_draft
from p2pgrid.protocol.arrays import Array, raw_bytes
from p2pgrid.protocol.bulk import Progress, digest_of

ARRAY = np.arange(24.0).reshape(2, 3, 4)
ARRAYS: dict[str, Array] = {
    "plain": ARRAY,
    "transposed": ARRAY.T,
    "strided": ARRAY[:, ::2, 1:],
    "backwards": ARRAY[::-1],
    "big-endian": ARRAY.astype(">f8"),
    "broadcast": np.broadcast_to(np.arange(4, dtype=np.int16), (3, 4)),
    "number": np.array(7, np.int8),
    "truth": np.array([True, False, True]),
}
HEADER = npy_header(ARRAY.shape, ARRAY.dtype)


def copied(source: Source, sink: Sink, size: int) -> None:
    for offset in range(0, source.size, size):
        part = min(size, source.size - offset)
        place = sink.place(offset, part)
        place[:] = source.chunk(offset, part)
        sink.keep(offset, place)
    sink.sync()


def file_sink(path: Path) -> FileSink:
    return FileSink(path, header=HEADER, size=ARRAY.nbytes, spare=0)


@pytest.mark.parametrize("name", ARRAYS)
@given(elements=st.integers(1, 30))
def test_a_source_gives_the_bytes_in_c_order_however_they_lie(name: str, elements: int) -> None:
    array = ARRAYS[name]
    sink = BufferSink(array.nbytes)
    copied(ArraySource(array), sink, elements * array.itemsize)
    assert sink.data.tobytes() == bytes(raw_bytes(array))


def test_a_plain_array_is_not_copied() -> None:
    chunk = ArraySource(ARRAY).chunk(8, 16)
    assert np.shares_memory(np.frombuffer(chunk), ARRAY)


def test_a_file_bears_its_name_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    sink = file_sink(path)
    assert sink.draft.stat().st_size == len(HEADER) + ARRAY.nbytes
    assert sink.draft.stat().st_mode & 0o777 == 0o600
    copied(ArraySource(ARRAY), sink, 64)
    assert not path.exists()
    sink.publish()
    assert [it.name for it in tmp_path.iterdir()] == ["a.npy"]
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), ARRAY)


def test_a_draft_that_is_published_twice_is_published_once(tmp_path: Path) -> None:
    sink = file_sink(tmp_path / "a.npy")
    sink.publish()
    publish_draft(tmp_path / "a.npy")
    assert [it.name for it in tmp_path.iterdir()] == ["a.npy"]


def test_a_draft_that_was_never_made_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        publish_draft(tmp_path / "a.npy")


def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    file_sink(tmp_path / "a.npy").discard()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_with_both_numbers_before_a_byte_is_written(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError) as full:
        FileSink(tmp_path / "a.npy", header=HEADER, size=1 << 60, spare=5)
    assert full.value.needed == (1 << 60) + len(HEADER) + 5
    assert 0 < full.value.free < 1 << 60
    assert not list(tmp_path.iterdir())


def test_two_transfers_do_not_write_into_one_draft_but_a_dead_ones_is_taken_over(
    tmp_path: Path,
) -> None:
    sink = file_sink(tmp_path / "a.npy")
    with pytest.raises(DuplicateError):
        file_sink(tmp_path / "a.npy")
    sink.close()  # as when its process dies
    again = file_sink(tmp_path / "a.npy")
    again.discard()


def test_a_disk_that_fails_is_an_error_of_ours(tmp_path: Path) -> None:
    sink = file_sink(tmp_path / "a.npy")
    os.close(sink._file)
    with pytest.raises(TransferError, match="Bad file descriptor"):
        sink.sync()


def test_a_file_is_read_from_its_start_even_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, ARRAY)
    source = FileSource(path, start=path.stat().st_size - ARRAY.nbytes, size=ARRAY.nbytes)
    path.unlink()
    sink = BufferSink(ARRAY.nbytes)
    copied(source, sink, 50)
    assert sink.data.tobytes() == ARRAY.tobytes()
    source.close()


def test_a_file_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(10))
    source = FileSource(path, start=0, size=20)
    with pytest.raises(TransferError, match="shorter"):
        source.chunk(0, 20)
    source.close()


class Disk:
    """A sink that knows how much of it would survive a crash."""

    is_durable = False

    def __init__(self) -> None:
        self.kept = self.safe = 0

    def place(self, offset: int, size: int) -> memoryview:
        assert offset == self.kept
        return memoryview(bytearray(size))

    def keep(self, offset: int, chunk: memoryview) -> None:
        self.kept = offset + len(chunk)

    def sync(self) -> None:
        self.safe = self.kept


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=30), at=st.integers(0, 30))
def test_what_a_receiver_calls_durable_was_synced(sizes: list[int], at: int) -> None:
    disk = Disk()
    receiver = Receiver(disk, Progress(sum(sizes)))
    for number, size in enumerate(sizes):
        offset = receiver.progress.moved
        place = receiver.place(offset, size, size)
        receiver.keep(offset, place, digest_of(place))
        if number == at:
            receiver.settle()
            assert receiver.progress.durable == offset + size
        assert receiver.progress.durable <= disk.safe
    assert receiver.progress.is_whole
    assert disk.safe == sum(sizes)
    receiver.close()


def test_a_long_transfer_is_made_durable_behind_the_chunks_that_come_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("p2pgrid.net.bulk.SYNC_BYTES", 10)
    disk = Disk()
    receiver = Receiver(disk, Progress(1000))
    for offset in range(0, 990, 10):
        place = receiver.place(offset, 10, 10)
        receiver.keep(offset, place, digest_of(place))
        assert receiver.progress.durable <= disk.safe
        assert receiver.progress.moved - receiver.progress.durable <= 20  # two stretches at most
    receiver.close()


def test_a_sync_that_failed_in_the_background_ends_the_transfer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise TransferError("the disk failed")

    monkeypatch.setattr("p2pgrid.net.bulk.SYNC_BYTES", 1)
    disk = Disk()
    receiver = Receiver(disk, Progress(20))
    monkeypatch.setattr(disk, "sync", fail)
    receiver.keep(0, receiver.place(0, 9, 9), digest_of(bytes(9)))
    for _ in range(2):
        with pytest.raises(TransferError):
            receiver.settle()
    assert receiver.progress.durable == 0
    receiver.close()

"""Large arrays over the control stream: where nothing listens, the same transfer goes on there."""

import threading
from pathlib import Path

import numpy as np
import pytest

from actors.transfer import Upload
from p2pgrid.errors import DuplicateError, GetNotPermittedError, ObjectGoneError
from p2pgrid.net.bulk_cargo import Outgoing
from p2pgrid.net.bulk_ends import ArraySource
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Link
from p2pgrid.protocol.arrays import header_of
from p2pgrid.protocol.bulk import LINK_CHUNK_BYTES, digest_of
from p2pgrid.protocol.messages import (
    Durable,
    FetchChunk,
    NewTensor,
    Opened,
    OpenUpload,
    Publish,
    Published,
    SendChunk,
)
from tests.fabric.conftest import Grid
from tests.fabric.large_data import ID, LARGE, kinds_of


def test_large_arrays_come_back_as_they_were(grid: Grid, tmp_path: Path) -> None:
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    arrays = {"plain": LARGE, "transposed": LARGE.T, "small": LARGE[:2], "odd": LARGE[:, ::3]}
    dataset = owner.publish("data", arrays)
    for name, array in arrays.items():
        taken = dataset[name].get()
        np.testing.assert_array_equal(taken, array)
        assert not taken.flags.writeable
        mapped = dataset[name].get(to=tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(mapped, array)
        assert not mapped.flags.writeable
    np.testing.assert_array_equal((dataset["plain"].T + 1).get(), LARGE.T + 1)
    assert kinds_of(bob) == [".npy"] * 4
    assert owner.transfers.counters.sent == 0


def test_an_empty_array_goes_into_a_file_too(grid: Grid, tmp_path: Path) -> None:
    pointer = grid.owner_of(grid.launch("bob")).publish("empty", np.zeros((0, 3))).pointers[0]
    assert pointer.get(to=tmp_path / "empty.npy").shape == (0, 3)
    assert np.load(tmp_path / "empty.npy").shape == (0, 3)


def test_the_right_to_take_a_large_array_is_that_to_take_a_small_one(grid: Grid) -> None:
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    owner.publish("open", LARGE, allowed_users="ana")
    owner.publish("closed", LARGE)
    ana = grid.user(owner, "ana")
    opened, closed = (dataset.pointers[0] for dataset in ana.datasets)
    assert opened.dataset == "open"
    np.testing.assert_array_equal((opened * 2).get(), LARGE * 2)
    received = ana.link().array_bytes_received
    for pointer in (closed, closed * 0, opened + closed):
        with pytest.raises(GetNotPermittedError):
            pointer.get()
    assert ana.link().array_bytes_received == received
    events = [(e.account, e.outcome) for e in bob.state.audit_log() if e.action == "get"]
    assert events == [("ana", "given"), *[("ana", "refused")] * 3]


def test_a_transfer_goes_on_over_a_new_link_and_sends_nothing_twice(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    offsets: list[int] = []
    send_chunk = Outgoing._send_chunk

    def watched(cargo: Outgoing, link: Link, offset: int, size: int) -> object:
        offsets.append(offset)
        if offset == 8 * LINK_CHUNK_BYTES and offsets.count(offset) == 1:
            grid.hang_up(owner)
        return send_chunk(cargo, link, offset, size)

    monkeypatch.setattr(Outgoing, "_send_chunk", watched)
    pointer = owner.publish("data", LARGE).pointers[0]
    np.testing.assert_array_equal(pointer.get(), LARGE)
    again = [offset for offset in set(offsets) if offsets.count(offset) > 1]
    assert all(offset >= 4 * LINK_CHUNK_BYTES for offset in again)  # what was not answered
    assert max(offsets.count(offset) for offset in offsets) <= 2


def test_a_result_goes_on_coming_home_after_its_session_is_gone(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    pointer = owner.publish("data", LARGE).pointers[0] + 1
    request, count = Link.request, 0

    def watched(link: Link, message: object, *rest: object, **named: object) -> object:
        nonlocal count
        if isinstance(message, FetchChunk):
            count += 1
            if count == 6:
                grid.hang_up(owner)
        return request(link, message, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Link, "request", watched)
    np.testing.assert_array_equal(pointer.get(), LARGE + 1)
    with pytest.raises(ObjectGoneError):
        pointer.get()


def test_a_publication_whose_answer_was_lost_is_repeated_and_listed_once(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    add, calls = bob.state.add_dataset, 0

    def add_and_hang_up(entry: object) -> None:
        nonlocal calls
        calls += 1
        add(entry)  # type: ignore[arg-type]
        grid.hang_up(owner)

    monkeypatch.setattr(bob.state, "add_dataset", add_and_hang_up)
    pointer = owner.publish("data", {"large": LARGE, "small": LARGE[:2]})["large"]
    assert calls == 1
    assert len(owner.datasets) == 1
    np.testing.assert_array_equal(pointer.get(), LARGE)
    assert kinds_of(bob) == [".npy", ".npy"]


def test_what_is_not_uploaded_whole_cannot_be_published(grid: Grid) -> None:
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    link = owner.link()
    opened = ask(link, OpenUpload(ID, "float64", LARGE.shape), Opened)
    assert (opened.size, opened.offset, opened.ticket) == (LARGE.nbytes, 0, None)
    for header in (header_of(LARGE, buffer=0), header_of(LARGE.T, buffer=0)):
        with pytest.raises(ObjectGoneError, match="upload"):
            ask(link, publishing(NewTensor("t", ID, header, True)), Published)
    send(link, ID, LARGE)
    assert bob.node._transfers is not None
    finished = bob.node._transfers._open[ID]
    assert isinstance(finished, Upload)
    assert (finished._sink._file, len(finished._sink._scratch)) == (-1, 0)  # it only waits
    with pytest.raises(ObjectGoneError, match="upload"):
        ask(link, publishing(NewTensor("t", ID, header_of(LARGE.T, buffer=0), True)), Published)
    ask(link, publishing(NewTensor("t", ID, header_of(LARGE, buffer=0), True)), Published)
    np.testing.assert_array_equal(owner.datasets[0].pointers[0].get(), LARGE)
    with pytest.raises(DuplicateError):
        ask(link, OpenUpload(ID, "float64", LARGE.shape), Opened)


def publishing(tensor: NewTensor) -> Publish:
    return Publish(bytes(16), "data", "", (), (), False, (tensor,))


def send(link: Link, transfer_id: bytes, array: np.ndarray) -> None:
    source = ArraySource(array)
    for offset in range(0, source.size, LINK_CHUNK_BYTES):
        chunk = source.chunk(offset, min(LINK_CHUNK_BYTES, source.size - offset))
        ask(link, SendChunk(transfer_id, offset, digest_of(chunk)), Durable, (chunk,))


def test_operations_pass_between_the_chunks_of_a_transfer(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    one = owner.publish("one", np.ones(3)).pointers[0]
    waiting = 0
    request = Link.request

    def watched(link: Link, message: object, *rest: object, **named: object) -> object:
        nonlocal waiting
        waiting = max(waiting, link._queued)
        return request(link, message, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Link, "request", watched)
    uploading = threading.Thread(target=owner.publish, args=("data", np.tile(LARGE, (4, 1))))
    uploading.start()
    sums = 0
    while uploading.is_alive():
        assert (one + one).sum().get() == 6
        sums += 1
    uploading.join()
    assert sums > 3
    assert waiting <= 5 * LINK_CHUNK_BYTES

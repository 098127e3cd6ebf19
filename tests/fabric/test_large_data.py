"""Large arrays over the control stream: where nothing listens, the same transfer goes on there."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actors.transfer import Holder, Upload
from actors.transfers import Transfers
from p2pgrid import DomainClient
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits
from p2pgrid.errors import (
    BusyError,
    DiskFullError,
    DuplicateError,
    GetNotPermittedError,
    InternalError,
    NetworkError,
    ObjectGoneError,
    PublishNotPermittedError,
    TooLargeError,
    TransferCancelledError,
    TransportError,
)
from p2pgrid.ids import ObjectId, PeerId
from p2pgrid.net.bulk_cargo import Outgoing
from p2pgrid.net.bulk_ends import ArraySource
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Link
from p2pgrid.protocol.arrays import header_of
from p2pgrid.protocol.bulk import LINK_CHUNK_BYTES, digest_of
from p2pgrid.protocol.messages import (
    Chunk,
    CloseTransfer,
    Done,
    Durable,
    FetchChunk,
    NewTensor,
    OpenDownload,
    Opened,
    OpenUpload,
    Publish,
    Published,
    SendChunk,
)
from p2pgrid.protocol.operations import ArrayMeta
from tests.fabric.conftest import FabricNode, Grid

MIB = 1 << 20
LARGE = np.random.default_rng(5).normal(size=(600, 1000))
ID, OTHER = ObjectId(b"a large array..1"), ObjectId(b"a large array..2")
META = ArrayMeta(LARGE.shape, LARGE.dtype)


def kinds_of(node: FabricNode) -> list[str]:
    files = node.directory.objects.rglob("*")
    return sorted("".join(it.suffixes) for it in files if it.is_file())


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


def test_only_owners_upload_and_nobody_works_on_the_transfer_of_another(grid: Grid) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    pointer = owner.publish("data", LARGE, allowed_users=("ana", "eve")).pointers[0]
    ana, eve = grid.user(owner, "ana"), grid.user(owner, "eve")
    with pytest.raises(PublishNotPermittedError):
        ask(ana.link(), OpenUpload(ID, "float64", (9,)), Opened)
    ask(owner.link(), OpenUpload(ID, "float64", LARGE.shape), Opened)
    ask(ana.link(), OpenDownload(OTHER, pointer_id(owner)), Opened)
    chunk = LARGE.tobytes()[:LINK_CHUNK_BYTES]
    for domain in (ana, eve):
        with pytest.raises(ObjectGoneError):
            ask(domain.link(), SendChunk(ID, 0, digest_of(chunk)), Durable, (chunk,))
    for domain in (owner, eve):
        with pytest.raises(ObjectGoneError):
            ask(domain.link(), FetchChunk(OTHER, 0), Chunk)
        ask(domain.link(), CloseTransfer(OTHER), Done)
    with pytest.raises(DuplicateError):
        ask(eve.link(), OpenDownload(OTHER, pointer_id(owner)), Opened)
    assert ask(ana.link(), FetchChunk(OTHER, 0), Chunk).offset == 0
    del pointer


def pointer_id(domain: DomainClient) -> ObjectId:
    return domain.datasets[0].pointers[0]._id


def test_a_right_that_was_taken_away_ends_a_download_at_its_next_resumption(grid: Grid) -> None:
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    owner.publish("data", LARGE, allowed_users="ana")
    ana = grid.user(owner, "ana")
    message = OpenDownload(ID, pointer_id(owner), "ana")
    ask(ana.link(), message, Opened)
    datasets = bob.node._service._datasets  # type: ignore[attr-defined]
    datasets.allowed = dict.fromkeys(datasets.allowed, frozenset())
    with pytest.raises(GetNotPermittedError):
        ask(ana.link(), message, Opened)


@pytest.mark.parametrize(
    "message",
    [
        SendChunk(ID, 1, bytes(8)),
        SendChunk(ID, 0, bytes(8)),
        OpenUpload(OTHER, "float64", (1 << 40, 2)),
    ],
    ids=["another place", "damaged", "no array"],
)
def test_a_peer_that_sends_what_is_not_due_is_hung_up_on(grid: Grid, message: SendChunk) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    link = owner.link()
    ask(link, OpenUpload(ID, "float64", LARGE.shape), Opened)
    with pytest.raises(TransportError):
        ask(link, message, Durable, (bytes(LINK_CHUNK_BYTES),))
    assert not link.is_open
    owner.publish("data", LARGE)


def test_an_offset_behind_the_end_is_refused(grid: Grid) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    owner.publish("data", LARGE)
    with pytest.raises(TransportError):
        ask(owner.link(), OpenDownload(ID, pointer_id(owner), "", LARGE.nbytes + 1), Opened)


def test_the_same_id_for_another_array_is_refused(grid: Grid) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    ask(owner.link(), OpenUpload(ID, "float64", LARGE.shape), Opened)
    with pytest.raises(DuplicateError):
        ask(owner.link(), OpenUpload(ID, "float32", LARGE.shape), Opened)


def test_a_cancelled_transfer_is_told_to_the_domain(grid: Grid) -> None:
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    stop = threading.Event()
    stop.set()
    with pytest.raises(TransferCancelledError, match="0 of"):
        owner.publish("data", LARGE, stop=stop)
    pointer = owner.publish("data", LARGE).pointers[0]
    with pytest.raises(TransferCancelledError):
        pointer.get(stop=stop)
    assert kinds_of(bob) == [".npy"]


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


def test_limits_of_the_domain_hold(make_grid: Callable[[Limits], Grid]) -> None:
    grid = make_grid(replace(DEFAULT_LIMITS, peer_transfers=2, transfer=1 << 20))
    bob = grid.launch("bob")
    link = grid.owner_of(bob).link()
    with pytest.raises(TooLargeError, match="1,048,576"):
        ask(link, OpenUpload(ID, "float64", LARGE.shape), Opened)
    for number in range(2):
        ask(link, OpenUpload(bytes([number] * 16), "float64", (9,)), Opened)
    with pytest.raises(BusyError):
        ask(link, OpenUpload(ID, "float64", (9,)), Opened)


def test_a_full_disk_is_told_by_its_numbers(make_grid: Callable[[Limits], Grid]) -> None:
    grid = make_grid(replace(DEFAULT_LIMITS, disk_spare=1 << 60))
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    with pytest.raises(DiskFullError) as full:
        owner.publish("data", LARGE)
    assert full.value.needed > 1 << 60 > full.value.free
    assert owner.datasets == ()
    assert kinds_of(bob) == []


def test_a_disk_that_fails_under_way_lists_nothing(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = grid.owner_of(grid.launch("bob"))

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error for 1234.5")

    with monkeypatch.context() as broken:
        broken.setattr("p2pgrid.net.bulk_files.os.pwrite", fail)
        with pytest.raises((InternalError, NetworkError)) as failed:
            owner.publish("data", LARGE)
    assert "1234" not in str(failed.value)
    assert owner.datasets == ()
    owner.publish("data", LARGE)


def test_a_start_removes_what_no_dataset_names_but_nothing_young(grid: Grid) -> None:
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    owner.publish("data", LARGE)
    objects = bob.directory.objects
    bob.stop()
    for name in ("young.npy", "old.npy", "old.npy.new", "draft.npy.part", "spool/result"):
        (objects / name).parent.mkdir(exist_ok=True)
        (objects / name).write_bytes(b"x")
    now = time.time()
    os.utime(objects / "old.npy", (now, now))
    bob.start()
    assert kinds_of(bob) == [".npy", ".npy", ".npy", ".npy.new"]
    transfers_in(objects, orphan_s=-1.0).clean_up({pointer_id(owner)})
    assert kinds_of(bob) == [".npy"]
    np.testing.assert_array_equal(owner.datasets[0].pointers[0].get(), LARGE)


def names_in(directory: Path) -> list[str]:
    return sorted(it.name for it in directory.iterdir())


def transfers_in(directory: Path, *, limits: Limits = DEFAULT_LIMITS, **times: float) -> Transfers:
    timing = replace(DEFAULT_TIMING, **times)
    return Transfers(directory, server=None, name="bob", limits=limits, timing=timing)


def test_an_upload_that_nobody_resumes_is_removed_after_its_time(tmp_path: Path) -> None:
    async def story() -> None:
        for idle_s, left in ((60.0, 1), (0.0, 0)):
            transfers = transfers_in(tmp_path, transfer_idle_s=idle_s)
            await transfers.open_upload(ID, META, Holder("owner", PeerId("p")))
            await transfers.sweep()
            assert len(names_in(tmp_path)) == left
            await transfers.close_all()
        assert names_in(tmp_path) == []

    asyncio.run(story())


def test_a_finished_upload_waits_while_its_peer_sends_another(tmp_path: Path) -> None:
    async def story() -> None:
        transfers = transfers_in(tmp_path, transfer_idle_s=60.0)
        holder = Holder("owner", PeerId("p"))
        for object_id in (ID, OTHER):
            await transfers.open_upload(object_id, META, holder)
        transfers._open[ID].touched_at -= 90.0
        await transfers.sweep()
        assert len(names_in(tmp_path)) == 2
        transfers._open[OTHER].touched_at -= 90.0
        await transfers.sweep()
        assert names_in(tmp_path) == []

    asyncio.run(story())


def test_the_longest_resting_transfer_makes_room_for_a_new_one(tmp_path: Path) -> None:
    async def story() -> None:
        limits = replace(DEFAULT_LIMITS, transfers=2)
        transfers = transfers_in(tmp_path, limits=limits, stall_s=0.0)
        for number in range(3):
            holder = Holder("owner", PeerId(f"p{number}"))
            await transfers.open_upload(ObjectId(bytes([number] * 16)), META, holder)
        assert [name[:2] for name in names_in(tmp_path)] == ["01", "02"]
        await transfers.close_all()

    asyncio.run(story())

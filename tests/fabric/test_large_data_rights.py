"""Who may transfer large arrays, and what happens to peers that do otherwise."""

import threading

import pytest

from p2pgrid.errors import (
    DuplicateError,
    GetNotPermittedError,
    ObjectGoneError,
    PublishNotPermittedError,
    TransferCancelledError,
    TransportError,
)
from p2pgrid.net.calls import ask
from p2pgrid.protocol.bulk import LINK_CHUNK_BYTES, digest_of
from p2pgrid.protocol.messages import (
    Chunk,
    CloseTransfer,
    Done,
    Durable,
    FetchChunk,
    OpenDownload,
    Opened,
    OpenUpload,
    SendChunk,
)
from tests.fabric.conftest import Grid
from tests.fabric.large_data import ID, LARGE, OTHER, kinds_of, pointer_id


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

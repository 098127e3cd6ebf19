"""Large arrays within limits: of the domain, of its disk, of time."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actors.transfer import Holder
from actors.transfers import Transfers
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits
from p2pgrid.errors import BusyError, DiskFullError, InternalError, NetworkError, TooLargeError
from p2pgrid.ids import ObjectId, PeerId
from p2pgrid.net.calls import ask
from p2pgrid.protocol.messages import Opened, OpenUpload
from p2pgrid.protocol.operations import ArrayMeta
from tests.fabric.conftest import Grid
from tests.fabric.large_data import ID, LARGE, OTHER, kinds_of, pointer_id

META = ArrayMeta(LARGE.shape, LARGE.dtype)


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
    transfers_in(objects, orphan_s=-1.0).clean_up(lambda: {pointer_id(owner)})
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

"""Large arrays between real processes: killed, frozen, slow, full disks, cut connections."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from typing_extensions import override

from p2pgrid.client.ports import free_ports
from p2pgrid.client.transfers import Transfers
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING
from p2pgrid.errors import DiskFullError, TransferCancelledError, TransportError
from p2pgrid.net.bulk_pipe import Pipe
from p2pgrid.net.bulk_server import BulkServer
from p2pgrid.net.link import Link
from tests.fabric.births import BIRTHS, RAW, births
from tests.libp2p.conftest import ROOT, Clinic

pytestmark = pytest.mark.libp2p

MIB = 1 << 20
QUICK = replace(DEFAULT_TIMING, patience_s=2.0, stall_s=1.0, silent_after_s=3.0, dial_s=2.0)
VALUES = np.random.default_rng(3).integers(0, 255, 24 * MIB, dtype=np.uint8)


def when_moved(
    monkeypatch: pytest.MonkeyPatch, transfers: Transfers, size: int, act: threading.Event
) -> None:
    """Sets an event as soon as so many bytes have gone through the program's bulk connections."""
    write, read = Pipe.write, Pipe.read_into

    def check() -> None:
        if transfers.counters.sent + transfers.counters.received >= size:
            act.set()

    def watched_write(pipe: Pipe, data: bytes) -> None:
        write(pipe, data)
        check()

    def watched_read(pipe: Pipe, view: memoryview) -> None:
        read(pipe, view)
        check()

    monkeypatch.setattr(Pipe, "write", watched_write)
    monkeypatch.setattr(Pipe, "read_into", watched_read)


class Striking(threading.Event):
    """An event that does something, once, to the process of a node in the middle of a transfer."""

    def __init__(self, pid: int, number: signal.Signals) -> None:
        super().__init__()
        self._pid, self._signal = pid, number

    @override
    def set(self) -> None:
        if not self.is_set():
            super().set()
            os.kill(self._pid, self._signal)


class Cutting(threading.Event):
    """An event that ends the connections of a bulk port, once."""

    def __init__(self, bulk: BulkServer) -> None:
        super().__init__()
        self._bulk = bulk

    @override
    def set(self) -> None:
        if not self.is_set():
            super().set()
            for transfer_id in tuple(self._bulk._workers):
                threading.Thread(target=self._bulk.revoke, args=(transfer_id,)).start()


def test_large_arrays_take_the_bulk_port_and_small_ones_the_link(clinic: Clinic) -> None:
    clinic.start_here()
    owner = clinic.owner()
    dataset = owner.publish("data", {"large": VALUES, "small": VALUES[:1000]})
    counters = owner.transfers.counters
    assert VALUES.nbytes <= counters.sent <= VALUES.nbytes + 10_000
    for name in dataset:
        np.testing.assert_array_equal(dataset[name].get(), VALUES[: dataset[name].size])
    doubled = (dataset["large"] + dataset["large"]).get()
    np.testing.assert_array_equal(doubled, VALUES + VALUES)
    assert 2 * VALUES.nbytes <= counters.received <= 2 * VALUES.nbytes + 10_000
    assert owner.link().array_bytes_received < MIB
    assert not list((clinic.directory.objects / "spool").iterdir())


def test_a_result_is_taken_into_a_file_and_mapped(clinic: Clinic, tmp_path: Path) -> None:
    clinic.start_here()
    matrix = VALUES.reshape(1 << 12, -1)
    pointer = clinic.owner().publish("data", matrix).pointers[0]
    mapped = (pointer.T + 1).get(to=tmp_path / "result.npy")
    assert isinstance(mapped.base, np.memmap)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, matrix.T + 1)
    np.testing.assert_array_equal(np.load(tmp_path / "result.npy"), matrix.T + 1)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_connection_that_breaks_is_resumed_and_what_has_arrived_is_not_sent_again(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    bulk = clinic.start_here()._bulk
    assert bulk is not None
    owner = clinic.owner()
    counters = owner.transfers.counters
    pointer = owner.publish("before", VALUES).pointers[0]
    cut = Cutting(bulk)
    when_moved(monkeypatch, owner.transfers, VALUES.nbytes + 8 * MIB, cut)
    before = counters.sent + counters.received
    if direction == "up":
        owner.publish("after", VALUES)
    else:
        np.testing.assert_array_equal(pointer.get(), VALUES)
    assert cut.is_set()
    moved = counters.sent + counters.received - before
    assert moved <= VALUES.nbytes + 8 * MIB  # what was in the sockets' buffers is lost
    np.testing.assert_array_equal(owner.datasets[0].pointers[0].get(), VALUES)


@pytest.mark.parametrize("direction", ["up", pytest.param("down", marks=pytest.mark.slow)])
def test_a_killed_node_is_told_and_nothing_is_half_listed(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, direction: str, tmp_path: Path
) -> None:
    process = clinic.start()
    owner = clinic.owner(timing=QUICK)
    pointer = owner.publish("before", VALUES).pointers[0]
    kill = Striking(process.pid, signal.SIGKILL)
    when_moved(monkeypatch, owner.transfers, VALUES.nbytes + 8 * MIB, kill)
    take = partial(pointer.get, to=tmp_path / "a.npy")
    act = take if direction == "down" else partial(owner.publish, "after", VALUES)
    with pytest.raises(TransportError):
        act()
    assert kill.is_set()
    monkeypatch.undo()
    assert not list(tmp_path.glob("a.npy*"))
    clinic.start()
    assert clinic.files() == {".npy"}
    again = clinic.owner()
    assert [dataset.name for dataset in again.datasets] == ["before"]
    np.testing.assert_array_equal(again.datasets[0].pointers[0].get(), VALUES)


def test_a_node_that_is_started_again_in_time_gets_the_whole_array(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = clinic.start()
    owner = clinic.owner(timing=replace(QUICK, patience_s=20.0))
    kill = Striking(process.pid, signal.SIGKILL)
    when_moved(monkeypatch, owner.transfers, 8 * MIB, kill)

    def restart() -> None:
        process.wait()
        clinic.start()

    helper = threading.Thread(target=restart)
    helper.start()
    dataset = owner.publish("data", VALUES)
    helper.join()
    np.testing.assert_array_equal(dataset.pointers[0].get(), VALUES)


@pytest.mark.parametrize("direction", ["down", pytest.param("up", marks=pytest.mark.slow)])
def test_a_frozen_node_is_given_up_in_time(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    process = clinic.start()
    owner = clinic.owner(timing=QUICK)
    pointer = owner.publish("before", VALUES).pointers[0]
    freeze = Striking(process.pid, signal.SIGSTOP)
    when_moved(monkeypatch, owner.transfers, VALUES.nbytes + 8 * MIB, freeze)
    started = time.monotonic()
    act = pointer.get if direction == "down" else partial(owner.publish, "after", VALUES)
    with pytest.raises(TransportError):
        act()
    assert freeze.is_set()
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "number", [signal.SIGSTOP, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_a_program_that_dies_or_freezes_in_an_upload_holds_up_nobody(
    clinic: Clinic, number: signal.Signals
) -> None:
    """That the node drops the frozen one is in ``test_bulk_port``; here it serves others."""
    node = clinic.start()
    script = ROOT / "tests" / "libp2p" / "program_process.py"
    program = subprocess.Popen(
        [sys.executable, str(script), str(clinic.home), clinic.address, str(int(number)), "plain"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
    owner = clinic.owner()
    pointer = owner.publish("data", VALUES).pointers[0]
    np.testing.assert_array_equal(pointer.get(), VALUES)
    assert clinic.files() == {".npy", ".npy.part"}
    program.kill()
    program.wait()
    node.kill()
    node.wait()
    clinic.start()
    assert clinic.files() == {".npy"}
    assert [dataset.name for dataset in clinic.owner().datasets] == ["data"]


def test_c44_a_program_that_is_killed_in_an_upload_leaves_no_half_of_a_dataset(
    clinic: Clinic,
) -> None:
    node = clinic.start()
    script = ROOT / "tests" / "libp2p" / "program_process.py"
    killed = subprocess.run(
        [sys.executable, script, clinic.home, clinic.address, str(int(signal.SIGKILL)), "prepared"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    owner = clinic.owner()
    assert owner.datasets == ()
    assert clinic.files() == {".npy.part"}  # until nobody has asked for it for a while
    dataset = owner.publish_dataset(births(name="half"))
    assert (dataset.version, dataset.raw) == (1, RAW)
    node.kill()
    node.wait()
    clinic.start()
    assert clinic.files() == {".npy"}
    (after,) = clinic.owner().datasets
    np.testing.assert_array_equal(after["x"].get(), BIRTHS.astype("float32"))


@pytest.mark.parametrize("by_socket", [True, False])
def test_an_upload_that_is_stopped_leaves_nothing_and_can_be_repeated(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by_socket: bool
) -> None:
    clinic.start_here()
    owner = clinic.owner()
    if not by_socket:
        monkeypatch.setattr(Link, "connect", _unreachable)
    stop = threading.Event()
    timer = threading.Timer(0.15, stop.set)
    timer.start()
    with pytest.raises(TransferCancelledError) as stopped:
        owner.publish("data", np.broadcast_to(VALUES, (40, VALUES.size)), stop=stop)
    timer.join()
    assert stopped.value.size == 40 * VALUES.nbytes
    assert owner.datasets == ()
    assert clinic.files() == set()
    owner.publish("data", VALUES)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """What a terminal has: a process in the background may ignore the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_an_upload_and_leaves_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.start_here()
    owner = clinic.owner()
    interrupt = Striking(os.getpid(), signal.SIGINT)
    when_moved(monkeypatch, owner.transfers, 8 * MIB, interrupt)
    with pytest.raises(KeyboardInterrupt):
        owner.publish("data", VALUES)
    assert owner.datasets == ()
    assert clinic.files() == set()
    np.testing.assert_array_equal(owner.publish("data", VALUES).pointers[0].get(), VALUES)


def test_where_no_socket_connects_the_link_carries_the_array(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.start_here()
    owner = clinic.owner()
    monkeypatch.setattr(Link, "connect", _unreachable)
    pointer = owner.publish("data", VALUES).pointers[0]
    np.testing.assert_array_equal(pointer.get(), VALUES)
    assert owner.transfers.counters.sent == owner.transfers.counters.received == 0


def test_a_port_at_which_nobody_is_cannot_be_reached(clinic: Clinic) -> None:
    clinic.start_here()
    with pytest.raises(TransportError, match="cannot be reached"):
        clinic.owner().link().connect("bulk", free_ports(1)[0], timeout_s=5)


def _unreachable(*_: object, **__: object) -> None:
    raise TransportError("a firewall")


def test_a_disk_without_room_is_told_before_a_byte_moves(clinic: Clinic) -> None:
    objects = clinic.directory.objects
    mount = f'mount -t tmpfs -o size=80m none {objects} && exec "$@"'
    clinic.start(inside=["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"])
    owner = clinic.owner()
    fits = owner.publish("fits", VALUES[: 4 * MIB])
    sent = owner.transfers.counters.sent
    with pytest.raises(DiskFullError) as full:
        owner.publish("too large", VALUES)
    assert full.value.needed > VALUES.nbytes + DEFAULT_LIMITS.disk_spare
    assert full.value.free <= 76 * MIB
    assert owner.transfers.counters.sent == sent
    large = (fits.pointers[0][None] + np.zeros((5, 1), np.uint8)).block
    with pytest.raises(DiskFullError):
        large.get()
    np.testing.assert_array_equal(fits.pointers[0].get(), VALUES[: 4 * MIB])
    assert [dataset.name for dataset in owner.datasets] == ["fits"]


@pytest.mark.slow
def test_two_gib_go_up_and_down_in_little_more_memory_than_their_own(clinic: Clinic) -> None:
    node = psutil.Process(clinic.start().pid)
    owner = clinic.owner()
    array = np.zeros(2048 * MIB, np.uint8)
    array[:: 1 << 16] = 7
    before, own = node.memory_info().rss, psutil.Process().memory_info().rss
    pointer = owner.publish("data", array).pointers[0]
    assert node.memory_info().rss - before < 64 * MIB
    assert psutil.Process().memory_info().rss - own < 64 * MIB
    taken = pointer.get()
    assert node.memory_info().rss - before < 64 * MIB
    np.testing.assert_array_equal(taken[:: 1 << 16], array[:: 1 << 16])
    assert psutil.Process().memory_info().rss - own < 2112 * MIB

"""The laws of ``StorePort``, for a store of this process and for one behind the channel."""

import asyncio
import json
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from actors.channel import ChannelStore, StoreServer
from actors.local import LocalStore
from actors.logs import JsonFormatter, current_request
from actors.ports import DatasetEntry, PartEntry, StorePort, TensorEntry
from actors.store import Store
from p2pgrid.errors import DiskFullError, InternalError, UnavailableError, UnfitValuesError
from p2pgrid.ids import DatasetId, ObjectId
from p2pgrid.net.bulk_files import FileSink, npy_header
from p2pgrid.protocol.arrays import Array, header_of, raw_bytes
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.entity_table import EntityTable, encode_entities
from p2pgrid.protocol.messages import Op, Operand, Operate
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema

DATASET, PART = ObjectId(b"dataset.dataset."), ObjectId(b"part.part.part..")
BUDGET = UserBudget.of_all_splits(lifetime=3, user_lifetime=2, daily_auto=1, query_auto=1)
PREFIX = b"session."


def name(number: int) -> ObjectId:
    return ObjectId(PREFIX + number.to_bytes(8, "big"))


def adding(out: int, left: Operand, right: Operand) -> bytes:
    return msgspec.msgpack.encode(Operate(ops=(Op("add", name(out), (left, right)),)))


async def up() -> None:
    """The store is always up here."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def socket_path() -> Iterator[Path]:
    path = Path(f"/tmp/p2pgrid-test-{os.getpid()}.sock")  # noqa: S108 short, as such paths must be
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def server(store: Store, socket_path: Path) -> Iterator[StoreServer]:
    serving = StoreServer(store, socket_path)
    yield serving
    serving.close()


@asynccontextmanager
async def channel(path: Path) -> AsyncIterator[ChannelStore]:
    opened = ChannelStore(path, name="bob", until_up=up)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def worker() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.fixture(params=["local", "worker", "channel"])
def run(
    request: pytest.FixtureRequest, store: Store
) -> Callable[[Callable[[StorePort], Awaitable[None]]], None]:
    """Runs a law on each kind of port."""
    if request.param == "local":
        return lambda law: asyncio.run(_awaited(law(LocalStore(store))))
    if request.param == "worker":
        worker = request.getfixturevalue("worker")
        return lambda law: asyncio.run(_awaited(law(LocalStore(store, worker))))
    request.getfixturevalue("server")
    path = request.getfixturevalue("socket_path")

    async def on_channel(law: Callable[[StorePort], Awaitable[None]]) -> None:
        async with channel(path) as port:
            await law(port)

    return lambda law: asyncio.run(on_channel(law))


async def _awaited(law: Awaitable[None]) -> None:
    await law


Run = Callable[[Callable[[StorePort], Awaitable[None]]], None]


@pytest.mark.parametrize(
    "array",
    [np.arange(6.0).reshape(2, 3), np.zeros((0, 3), np.int8), np.array(True), np.ones(1 << 20)],
    ids=["matrix", "empty", "number", "large"],
)
def test_what_is_put_is_given(run: Run, array: Array) -> None:
    async def law(port: StorePort) -> None:
        await port.put([(DATASET, array)])
        given = await port.get(DATASET)
        assert given.dtype == array.dtype
        np.testing.assert_array_equal(given, array)

    run(law)


def test_calls_are_carried_out_in_the_order_in_which_they_were_made(run: Run) -> None:
    async def law(port: StorePort) -> None:
        await port.put([(DATASET, np.zeros(()))])
        calls = [port.execute(adding(1, DATASET, 1.0), ())]
        calls += [port.execute(adding(n + 1, name(n), 1.0), ()) for n in range(1, 200)]
        answers, value = await asyncio.gather(asyncio.gather(*calls), port.get(name(200)))
        assert {answer.failed for answer in answers} == {()}
        assert all(answer.ran_s > 0 for answer in answers)
        assert float(value) == 200.0

    run(law)


def test_arrays_of_an_operation_travel_with_it(run: Run) -> None:
    async def law(port: StorePort) -> None:
        await port.put([(DATASET, np.zeros(3))])
        literal = np.arange(3.0)
        operations = adding(1, DATASET, header_of(literal, buffer=0))
        assert not (await port.execute(operations, (raw_bytes(literal),))).failed
        np.testing.assert_array_equal(await port.get(name(1)), literal)

    run(law)


def test_the_store_logs_under_the_request_that_it_works_for(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="actors.store")
    caplog.handler.setFormatter(JsonFormatter())

    async def ask(port: StorePort, request: str) -> None:
        current_request.set(request)  # of this task
        await port.execute(adding(1, DATASET, 1.0), ())

    async def law(port: StorePort) -> None:
        await port.put([(DATASET, np.zeros(()))])
        await asyncio.gather(ask(port, "0a0b0c0d-1"), ask(port, "0a0b0c0d-2"))
        lines = [json.loads(line) for line in caplog.text.splitlines()]
        done = [line.get("request") for line in lines if line["event"] == "operations"]
        assert done == ["0a0b0c0d-1", "0a0b0c0d-2"]

    run(law)


def test_what_does_not_exist_is_a_key_error_and_a_failed_operation(run: Run) -> None:
    async def law(port: StorePort) -> None:
        with pytest.raises(KeyError):
            await port.get(name(9))
        failed = (await port.execute(adding(1, name(9), 1.0), ())).failed
        assert [(it.out, it.reference) for it in failed] == [(name(1), "")]

    run(law)


def exported(port: StorePort, object_id: ObjectId) -> Callable[[], Awaitable[bytes]]:
    async def read() -> bytes:
        path, start, is_temporary = await port.export(object_id)
        with path.open("rb") as file:
            file.seek(start)
            data = file.read()
        if is_temporary:
            assert path.stat().st_mode & 0o777 == 0o600
            path.unlink()
        return data

    return read


def test_a_dataset_is_exported_as_its_file_and_a_result_as_a_temporary_one(run: Run) -> None:
    array = np.arange(6.0).reshape(2, 3)

    async def law(port: StorePort) -> None:
        await port.put([(DATASET, array)])
        assert not (await port.export(DATASET)).is_temporary
        assert await exported(port, DATASET)() == array.tobytes()
        transposed = Operate(ops=(Op("transpose", name(1), (DATASET,)),))
        await port.execute(msgspec.msgpack.encode(transposed), ())
        assert (await port.export(name(1))).is_temporary
        assert await exported(port, name(1))() == array.T.tobytes()
        with pytest.raises(KeyError):
            await port.export(name(9))

    run(law)


def test_a_result_for_which_the_disk_has_no_room_is_told_with_both_numbers(
    run: Run, store: Store, tmp_path: Path
) -> None:
    async def law(port: StorePort) -> None:
        await port.put([(DATASET, np.zeros(4))])
        await port.execute(adding(1, DATASET, 1.0), ())
        with pytest.raises(DiskFullError) as full:
            await port.export(name(1))
        assert full.value.needed == 32 + (1 << 60)
        assert 0 < full.value.free < 1 << 60

    store._disk_spare = 1 << 60
    run(law)
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_draft_is_adopted_once(run: Run, tmp_path: Path) -> None:
    array = np.arange(6.0)
    header = npy_header(array.shape, array.dtype)
    path = tmp_path / f"{DATASET.hex()}.npy"

    async def law(port: StorePort) -> None:
        sink = FileSink(path, header=header, size=array.nbytes, spare=0)
        sink.place(0, array.nbytes)[:] = raw_bytes(array)
        sink.keep(0, sink.place(0, array.nbytes))
        sink.close()
        for _ in range(2):
            await port.adopt([DATASET])
        np.testing.assert_array_equal(await port.get(DATASET), array)

    run(law)


def test_values_are_held_against_their_schema_and_what_is_refused_can_be_discarded(
    run: Run, tmp_path: Path
) -> None:
    async def law(port: StorePort) -> None:
        table = encode_entities(EntityTable(3, BUDGET, seed=bytes(32)))
        parts = np.frombuffer(table, np.uint8)
        await port.put([(DATASET, np.array([[0.5], [1], [2]], "float32")), (PART, parts)])
        assert await port.examine(entry(high=2, entities=parts.size)) == BUDGET
        with pytest.raises(UnfitValuesError, match=r"column 'a': 1 of 3 .* \[0.0, 1.0\]"):
            await port.examine(entry(high=1, entities=parts.size))
        await port.discard([DATASET, PART])
        await port.discard([DATASET])

    run(law)
    assert list(tmp_path.glob("*.npy*")) == []


def entry(*, high: float, entities: int) -> DatasetEntry:
    schema = TensorSchema("t", (Column("a", "float32", 0, high),))
    return DatasetEntry(
        DatasetId(bytes(16)),
        "name",
        "",
        (),
        frozenset({"ana"}),
        announce=False,
        tensors=(TensorEntry(DATASET, "x", "float32", (3, 1)),),
        parts=(PartEntry(PART, "entities", "uint8", (entities,)),),
        schema=DatasetSchema.of("d", {"x": schema}),
    )


def test_a_dropped_session_has_no_objects(run: Run) -> None:
    async def law(port: StorePort) -> None:
        await port.put([(DATASET, np.zeros(()))])
        await port.execute(adding(1, DATASET, 1.0), ())
        await port.drop(PREFIX)
        with pytest.raises(KeyError):
            await port.get(name(1))

    run(law)


@pytest.mark.usefixtures("server")
def test_a_mistake_of_the_store_comes_back_as_a_reference_and_the_channel_goes_on(
    store: Store, socket_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: object) -> None:
        raise OSError("no space left for 1234.5678")

    async def law() -> None:
        async with channel(socket_path) as port:
            with pytest.raises(InternalError) as failed:
                await port.put([(DATASET, np.zeros(()))])
            assert "1234" not in str(failed.value)
            assert failed.value.reference in {it.__dict__.get("reference") for it in caplog.records}
            await port.drop(PREFIX)

    store.put = full  # type: ignore[method-assign, assignment]
    asyncio.run(law())


@pytest.mark.usefixtures("server")
def test_a_new_gateway_finds_datasets_but_no_old_sessions(socket_path: Path) -> None:
    async def law() -> None:
        async with channel(socket_path) as port:
            await port.put([(DATASET, np.zeros(()))])
            await port.execute(adding(1, DATASET, 1.0), ())
        async with channel(socket_path) as port:
            assert await port.get(DATASET) == 0
            with pytest.raises(KeyError):
                await port.get(name(1))

    asyncio.run(law())


@pytest.mark.usefixtures("server")
def test_a_call_that_was_given_up_disturbs_no_other(socket_path: Path) -> None:
    async def law() -> None:
        async with channel(socket_path) as port:
            await port.put([(DATASET, np.zeros(()))])
            given_up = asyncio.ensure_future(port.get(DATASET))
            await asyncio.sleep(0)  # one turn, in which the call goes out
            assert port._waiting
            given_up.cancel()
            async with asyncio.timeout(10):
                assert await port.get(DATASET) == 0

    asyncio.run(law())


def test_calls_under_way_end_when_the_store_dies_and_the_next_one_connects_again(
    socket_path: Path, tmp_path: Path
) -> None:
    dying = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dying.bind(str(socket_path))
    dying.listen(1)

    def die() -> None:
        gateway, _ = dying.accept()
        gateway.recv(1)
        gateway.close()
        dying.close()

    async def law() -> None:
        async with channel(socket_path) as port:
            calls = [asyncio.ensure_future(port.drop(PREFIX)) for _ in range(3)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {UnavailableError}
            risen.append(StoreServer(Store(tmp_path), socket_path))
            await port.drop(PREFIX)

    risen: list[StoreServer] = []
    thread = threading.Thread(target=die)
    thread.start()
    asyncio.run(law())
    thread.join()
    for server in risen:
        server.close()


def test_a_store_that_cannot_be_reached_is_unavailable(socket_path: Path) -> None:
    async def law() -> None:
        async with channel(socket_path) as port:
            with pytest.raises(UnavailableError, match="bob"):
                await port.drop(PREFIX)

    asyncio.run(law())

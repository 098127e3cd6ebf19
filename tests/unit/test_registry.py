"""A registry finds what matches, as long as it has not expired, and never half a listing."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from nacl.signing import SigningKey

from actors.registry import Registry
from p2pgrid.ids import DatasetId, PeerId, peer_id_of
from p2pgrid.protocol.counts import counts_of
from p2pgrid.protocol.messages import Found
from p2pgrid.protocol.queries import EVERYTHING, Query, matches
from p2pgrid.protocol.records import DatasetRecord, NodeRecord, SignedRecord, sign
from tests.unit.schemas import dataset_schemas
from tests.unit.searching import queries, queries_about, record, records

START = 1_800_000_000
LASTS_S = 1800


class Domain:
    """A key, and what it signs."""

    def __init__(self, clock: "Clock", number: int = 1) -> None:
        self._clock, self._seed = clock, number.to_bytes(32, "big")
        self.peer: PeerId = peer_id_of(bytes(SigningKey(self._seed).verify_key))
        self.seq = 0

    def signed(self, body: DatasetRecord, *, lasts_s: int = LASTS_S) -> bytes:
        """A dataset's record."""
        expires = int(self._clock()) + lasts_s
        body = msgspec.structs.replace(body, seq=self.seq, expires=expires)
        return sign(body, signing_key=self._seed).encode()

    def node(self) -> bytes:
        """The domain's own record."""
        body = NodeRecord("domain", "ucsf", (), self.seq, int(self._clock()) + LASTS_S)
        return sign(body, signing_key=self._seed).encode()

    def lists(self, registry: Registry, *pages: Sequence[DatasetRecord]) -> None:
        """A new listing of these pages."""
        self.seq += 1
        for number, page in enumerate(pages or ((),), 1):
            signed = [self.signed(body) for body in page]
            registry.join(self.peer, self.node(), signed, more=number < len(pages))


class Clock:
    """Unix seconds."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def domain(clock: Clock) -> Domain:
    return Domain(clock)


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Registry]]:
    """Opens the file (again)."""
    made: list[Registry] = []

    def opened(**settings: Any) -> Registry:
        made.append(Registry(tmp_path / "registry.db", now=clock, **settings))
        return made[-1]

    yield opened
    for registry in made:
        registry.close()


@pytest.fixture
def registry(opened: Callable[..., Registry]) -> Registry:
    return opened()


def numbered(number: int, **fields: Any) -> DatasetRecord:
    """One of many datasets."""
    return record(
        dataset_id=DatasetId(number.to_bytes(16, "big")),
        **({"name": f"births {number}", "tags": ("births",)} | fields),
    )


def names(found: Found) -> list[str]:
    return [body.name for body in bodies(found)]


def bodies(found: Found) -> list[DatasetRecord]:
    decoded = [SignedRecord.decode(each).body() for each in found.records]
    assert all(isinstance(body, DatasetRecord) for body in decoded)
    return [body for body in decoded if isinstance(body, DatasetRecord)]


def writes(registry: Registry, work: Callable[[], None]) -> int:
    """How many rows it changes, those of the full-text index too."""
    before = registry._journal._connection.total_changes
    work()
    return registry._journal._connection.total_changes - before


# --- it agrees with ``matches`` ---------------------------------------------------------------


@given(
    st.lists(st.tuples(records, st.none() | dataset_schemas()), max_size=5),
    st.lists(queries(), min_size=1, max_size=5),
    st.integers(0, 4),
)
def test_it_finds_and_counts_what_matches(
    given_records: list[tuple[DatasetRecord, Any]], asked: list[Query], kept: int
) -> None:
    clock = Clock()
    domain = Domain(clock)
    listed = [
        msgspec.structs.replace(body, dataset_id=number.to_bytes(16, "big"), schema=schema)
        for number, (body, schema) in enumerate(given_records)
    ]
    with TemporaryDirectory() as directory:
        registry = Registry(Path(directory, "registry.db"), now=clock)
        try:
            domain.lists(registry, listed)
            agree(registry, listed, asked)
            domain.lists(registry, listed[kept:], listed[kept + 2 :])
            agree(registry, listed[kept:], asked)
        finally:
            registry.close()


def agree(registry: Registry, listed: Sequence[DatasetRecord], asked: Sequence[Query]) -> None:
    """The registry finds, and counts, what a look at every record finds."""
    for query in (*asked, *chain(*map(queries_about, listed)), EVERYTHING):
        expected = [body for body in listed if matches(query, body)]
        found = registry.search(query)
        assert {body.dataset_id for body in bodies(found)} == {b.dataset_id for b in expected}
        assert found.counts == counts_of(expected)

"""A registry finds what matches, as long as it has not expired, and never half a listing."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from nacl.signing import SigningKey

from actors import registry_file
from actors.ports import Census
from actors.registry import Registry
from p2pgrid.errors import ForgedRecordError, RecordError, RegistryFullError, StaleRecordError
from p2pgrid.ids import DatasetId, PeerId, peer_id_of
from p2pgrid.protocol.counts import Counts, counts_of
from p2pgrid.protocol.messages import Found
from p2pgrid.protocol.paging import PAGE_BYTES
from p2pgrid.protocol.queries import EVERYTHING, FORMS, MAX_WORDS, Query, matches, query_of
from p2pgrid.protocol.records import DatasetRecord, NodeRecord, SignedRecord, sign
from p2pgrid.protocol.schemas import DatasetSchema
from tests.unit.schemas import BIRTHS, dataset_schemas
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


@settings(max_examples=settings().max_examples // 4)  # each makes a file
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


@pytest.mark.parametrize(
    ("forms", "found"),
    [
        ({"description": "age"}, {1, 2}),
        ({"description": "age", "tags": "twins"}, {2}),
        ({"description": "age", "tags": "tw"}, {2}),
        ({"tags": "tw", "name": "births"}, {2}),
        ({"tags": "s t"}, set()),
        ({"tags": '"'}, {1}),
        ({"tags": '"quoted"'}, {1}),
        ({"tags": '"births'}, set()),
        ({"exact_name": "twins"}, set()),
        ({"exact_tags": "births 1"}, set()),
        ({"anywhere": ["age", "twins", "2"]}, {2}),
    ],
)
def test_each_form_narrows_what_the_others_find(
    registry: Registry, domain: Domain, forms: dict[str, Any], found: set[int]
) -> None:
    text = "By age"
    tags = {1: ('"quoted"', "births"), 2: ("births", "twins")}
    domain.lists(registry, [numbered(n, description=text, tags=tags[n]) for n in (1, 2)])
    assert names(registry.search(query_of(**forms))) == [f"births {n}" for n in sorted(found)]


def test_as_much_as_can_be_asked_for_at_once_is_answered(
    registry: Registry, domain: Domain
) -> None:
    words = [f"w{number:03}" + "x" * 100 for number in range(MAX_WORDS)]
    forms: dict[str, list[str]] = {form: words for form in FORMS if form != "exact_name"}
    tags, name = tuple(word[:64] for word in words), "births " + words[0]
    forms |= {"tags": [*tags], "exact_tags": [*tags], "name": [word[:2] for word in words[:1]]}
    domain.lists(registry, [numbered(1, name=name, description=" ".join(words), tags=tags)])
    assert len(registry.search(query_of(**forms)).records) == 1
    assert registry.search(query_of(**forms, exact_name=words)).records == ()


# --- listings ---------------------------------------------------------------------------------


def test_what_is_listed_again_is_not_indexed_again(registry: Registry, domain: Domain) -> None:
    listed = [numbered(number) for number in range(10)]
    domain.lists(registry, listed)
    first = registry.search(EVERYTHING)
    changes = writes(registry, lambda: domain.lists(registry, listed))
    assert changes == 1 + 2 * len(listed), "the node, and a dataset's expiry and record"
    again = registry.search(EVERYTHING)
    assert names(again) == names(first)
    assert {body.seq for body in bodies(again)} == {domain.seq}


def test_what_has_changed_is_found_by_its_new_words_only(
    registry: Registry, domain: Domain
) -> None:
    domain.lists(registry, [numbered(1, description="old", schema=None)])
    domain.lists(registry, [numbered(1, description="new", tags=("twins",))])
    assert names(registry.search(query_of(description="new", tags="win"))) == ["births 1"]
    for gone in (query_of(description="old"), query_of("births"), query_of(tags="births")):
        assert registry.search(gone) == Found((), counts=counts_of(()))


def test_a_page_may_name_a_dataset_twice_and_the_last_counts(
    registry: Registry, domain: Domain
) -> None:
    domain.lists(registry, [numbered(1, name="one"), numbered(2), numbered(1, name="two")])
    assert sorted(names(registry.search(EVERYTHING))) == ["births 2", "two"]
    assert rows_of(registry)["words"] == 2
    assert registry.search(query_of(exact_name="one")).records == ()


def test_nothing_is_missing_while_a_listing_of_several_pages_comes_in(
    registry: Registry, domain: Domain
) -> None:
    before = [numbered(number) for number in range(4)]
    domain.lists(registry, before[:2], before[2:])
    seen: list[set[str]] = []
    domain.seq += 1
    for number in (3, 4, 5):
        page = [domain.signed(numbered(number))]
        registry.join(domain.peer, domain.node(), page, more=number < 5)
        seen.append(set(names(registry.search(query_of("births")))))
    old = {f"births {number}" for number in range(4)}
    assert seen == [old, old | {"births 4"}, {"births 3", "births 4", "births 5"}]


def test_a_listing_that_was_cut_off_takes_nothing_away_and_the_next_one_mends_it(
    registry: Registry, domain: Domain
) -> None:
    domain.lists(registry, [numbered(1), numbered(2)])
    domain.seq += 1
    registry.join(domain.peer, domain.node(), [domain.signed(numbered(3))], more=True)
    assert len(registry.search(EVERYTHING).records) == 3
    domain.lists(registry, [numbered(1), numbered(3)])
    assert names(registry.search(EVERYTHING)) == ["births 1", "births 3"]


def test_a_page_that_is_repeated_changes_nothing(registry: Registry, domain: Domain) -> None:
    domain.lists(registry, [numbered(1)], [numbered(2)])
    registry.join(domain.peer, domain.node(), [domain.signed(numbered(2))])
    assert names(registry.search(EVERYTHING)) == ["births 1", "births 2"]


def test_a_page_with_one_bad_record_changes_nothing(
    registry: Registry, domain: Domain, clock: Clock
) -> None:
    domain.lists(registry, [numbered(1)])
    stranger = Domain(clock, 2).signed(numbered(3))
    domain.seq += 1
    for bad, error in ((stranger, ForgedRecordError), (domain.node(), RecordError)):
        with pytest.raises(error):
            registry.join(domain.peer, domain.node(), [domain.signed(numbered(2)), bad])
    assert names(registry.search(EVERYTHING)) == ["births 1"]


def test_an_older_listing_is_refused(registry: Registry, domain: Domain) -> None:
    old = domain.node()
    domain.lists(registry, [numbered(1)])
    with pytest.raises(StaleRecordError):
        registry.join(domain.peer, old, ())
    assert len(registry.search(EVERYTHING).records) == 1


def test_a_domain_has_room_for_so_many_and_more_are_refused_as_a_page(
    opened: Callable[..., Registry], domain: Domain
) -> None:
    registry = opened(most_listed=3)
    domain.lists(registry, [numbered(1), numbered(2), numbered(3)])
    with pytest.raises(RegistryFullError, match="4"):
        domain.lists(registry, [numbered(number) for number in range(4, 8)])
    assert names(registry.search(EVERYTHING)) == ["births 1", "births 2", "births 3"]


def test_a_new_listing_takes_the_room_of_the_old_one(
    opened: Callable[..., Registry], domain: Domain
) -> None:
    registry = opened(most_listed=3)
    domain.lists(registry, [numbered(1), numbered(2), numbered(3)])
    with pytest.raises(RegistryFullError, match="4"):
        domain.lists(registry, [numbered(4), numbered(5)], [numbered(6), numbered(7)])
    assert names(registry.search(EVERYTHING)) == ["births 4", "births 5"]


def test_domains_do_not_disturb_each_other(
    registry: Registry, domain: Domain, clock: Clock
) -> None:
    other = Domain(clock, 2)
    domain.lists(registry, [numbered(1)])
    other.lists(registry, [numbered(1, name="theirs")])
    domain.lists(registry)
    assert names(registry.search(EVERYTHING)) == ["theirs"]


def test_old_versions_stay_findable(registry: Registry, domain: Domain) -> None:
    domain.lists(registry, [numbered(1, version=1), numbered(1, version=2), numbered(2)])
    found = registry.search(query_of(exact_name="births 1"))
    assert [body.version for body in bodies(found)] == [1, 2]
    assert found.counts is not None
    assert found.counts.datasets == 2


# --- what has expired -------------------------------------------------------------------------


def test_what_has_expired_is_neither_found_nor_counted_and_leaves_the_file(
    registry: Registry, domain: Domain, clock: Clock
) -> None:
    domain.lists(registry, [numbered(1, schema=DatasetSchema.of("s", {"values": BIRTHS}))])
    clock.now += LASTS_S - 1
    assert registry.search(query_of("births")).counts == Counts(1, 1, 1, 1, 1)
    clock.now += 1
    assert registry.search(query_of("births")) == Found((), counts=Counts())
    assert registry.census() == Census(domains={}, datasets=0)
    assert not registry.lists(domain.peer)
    other = Domain(clock, 2)
    other.lists(registry)
    for table, left in rows_of(registry).items():
        assert left == (1 if table == "nodes" else 0), table


def test_a_schema_is_counted_once_and_as_long_as_a_dataset_has_it(
    registry: Registry, domain: Domain
) -> None:
    schema = DatasetSchema.of("s", {"x": BIRTHS, "y": BIRTHS})
    two = [numbered(number, schema=schema) for number in (1, 2)]
    domain.lists(registry, [*two, numbered(3)])
    assert registry.search(EVERYTHING).counts == Counts(1, 3, 3, 1, 1)
    domain.lists(registry, two[:1])
    assert registry.search(EVERYTHING).counts == Counts(1, 1, 1, 1, 1)
    domain.lists(registry)
    assert rows_of(registry)["schemas"] == rows_of(registry)["tensor_schemas"] == 0


def rows_of(registry: Registry) -> dict[str, int]:
    """How many rows each table has."""
    tables = ("nodes", "datasets", "records", "schemas", "tensor_schemas", "labelled", "words")
    return {
        table: registry._journal.rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608
        for table in tables
    }


# --- pages of answers -------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "description"), [(3, ""), (1000, "x " * 8000)])
def test_pages_have_everything_once_and_each_fits(
    registry: Registry, domain: Domain, limit: int, description: str
) -> None:
    domain.lists(registry, *[[numbered(n, description=description)] for n in range(40)])
    found, sizes, place = [], [], 0
    while True:
        page = registry.search(query_of("births"), after=place, limit=limit)
        assert (page.counts is None) == (place > 0)
        found += names(page)
        sizes.append(sum(map(len, page.records)))
        place = page.next
        if not place:
            break
    assert found == [f"births {number}" for number in range(40)]
    assert len(sizes) == (14 if limit == 3 else 2)
    assert max(sizes) <= PAGE_BYTES


# --- the file ---------------------------------------------------------------------------------


def test_what_is_listed_is_there_after_a_restart(
    opened: Callable[..., Registry], domain: Domain
) -> None:
    domain.lists(opened(), [numbered(1)])
    assert names(opened().search(query_of("births"))) == ["births 1"]


def test_a_file_of_an_earlier_form_is_begun_anew(
    opened: Callable[..., Registry], domain: Domain, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "registry.db")) as old:
        old.execute("PRAGMA journal_mode = WAL")
        old.execute("CREATE TABLE nodes (peer TEXT PRIMARY KEY, record BLOB)")
        old.execute("CREATE TABLE tags (tag TEXT, number INTEGER)")
    registry = opened()
    assert registry.search(EVERYTHING).records == ()
    domain.lists(registry, [numbered(1)])
    assert names(registry.search(EVERYTHING)) == ["births 1"]


def test_a_file_whose_texts_were_folded_by_another_unicode_is_begun_anew(
    opened: Callable[..., Registry], domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = opened()
    domain.lists(registry, [numbered(1)])
    registry.close()
    monkeypatch.setattr(registry_file, "FORM", registry_file.FORM + 1)
    assert opened().search(EVERYTHING).records == ()

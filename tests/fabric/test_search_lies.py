"""Networks that lie: what signatures detect is dropped and counted, the rest is a claim."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from p2pgrid import Client
from p2pgrid.client.asking import INCONSISTENT, MISCOUNTED, MISMATCH, REPEATED, UNREADABLE
from p2pgrid.client.search import ENTRIES
from p2pgrid.config import DEFAULT_LIMITS
from p2pgrid.errors import RemoteProtocolError
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages import Found
from p2pgrid.protocol.queries import query_of
from p2pgrid.protocol.records import DatasetRecord, SignedRecord
from tests.fabric.conftest import FabricNode, Grid, network_at
from tests.fabric.searching import answering, giving, lying, publish, scientist
from tests.unit.hits import COVID_MORT_2, FLAGS, arrays, record, signed

BIG = Counts(23, 75_474, 947_467, 532, 23)
"""The totals of notebook 000."""


@pytest.fixture
def liar(grid: Grid) -> FabricNode:
    return grid.launch("liar", "network")


@pytest.fixture
def honest(grid: Grid) -> FabricNode:
    network = grid.launch("honest", "network")
    publish(grid, grid.launch("bob", networks=(network.address,)), "true")
    return network


@pytest.fixture
def someone(grid: Grid, liar: FabricNode, honest: FabricNode) -> Client:
    return scientist(grid, liar, honest)


def changed(encoded: bytes) -> bytes:
    """Another payload under the same signature."""
    true = SignedRecord.decode(encoded)
    return SignedRecord(
        true.payload.replace(b"UCSF", b"EVIL"), true.public_key, true.signature
    ).encode()


def good_record(**fields: Any) -> bytes:
    """Of a domain that nobody runs, as good as any."""
    return signed(record(**fields))


LIES: dict[str, Callable[[bytes], bytes]] = {
    "a record is not signed by who it names": changed,
    "a record has expired (or our clock is wrong)": lambda _: signed(record(expires=1)),
    UNREADABLE: lambda good: good[:-1],
    MISMATCH: lambda _: good_record(tags=("other",)),
    REPEATED: lambda good: good,
    INCONSISTENT: lambda _: good_record(schema=COVID_MORT_2),
}


@pytest.mark.parametrize("problem", LIES)
def test_c22_a_lie_is_dropped_and_counted_and_hides_nothing(
    liar: FabricNode, someone: Client, problem: str
) -> None:
    good = good_record(name="good")
    giving(liar, [LIES[problem](good), good, LIES[problem](good)])
    found = someone.search("#covid")
    assert {d.name for d in found.datasets()} == {"good", "true"}
    assert not found.partial
    assert found.rejected == (("liar", problem, 2),)
    assert f"not believed of liar: {problem}; times: 2" in repr(found)
    assert found.counts.datasets == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"tensors": arrays("deaths", 4) * 2},
        {"tensors": (msgspec.structs.replace(arrays("deaths", 4)[0], dtype="object"),)},
        {"tensors": arrays("deaths", 4, 0, 3), "schema": COVID_MORT_2},
        {"tensors": arrays("other", 4), "schema": FLAGS},
    ],
)
def test_c26_a_record_of_which_no_pointers_can_be_made_spoils_no_others(
    liar: FabricNode, someone: Client, fields: dict[str, Any]
) -> None:
    giving(liar, [good_record(**fields), good_record(name="good")])
    found = someone.search("#covid")
    assert set(found) == {"bob", "UCSF"}
    assert [len(pointers) for pointers in found.values()] == [1, 1]
    assert found.rejected == (("liar", INCONSISTENT, 1),)


def test_c22_what_is_no_record_at_all_is_dropped(liar: FabricNode, someone: Client) -> None:
    node = liar.node._book.node_record()
    giving(liar, [b"", b"\xc1", node])
    found = someone.search("#covid")
    assert [d.name for d in found.datasets()] == ["true"]
    assert {(problem, times) for _, problem, times in found.rejected} == {
        (UNREADABLE, 2),
        ("a record is not signed by who it names", 1),
    }


def test_c27_nobody_can_replace_a_domains_record_by_a_newer_one_of_his_own(
    liar: FabricNode, honest: FabricNode, someone: Client
) -> None:
    (true,) = honest.registry.search(query_of("covid")).records
    body = SignedRecord.decode(true).body()
    assert isinstance(body, DatasetRecord)
    giving(liar, [signed(msgspec.structs.replace(body, seq=2**62), by="liar")])
    found = someone.search("#covid")
    assert sorted(d.record.seq for d in found.datasets()) == [body.seq, 2**62]
    assert len(found) == 2
    assert all(name.startswith("bob@") for name in found)


def test_c22_totals_that_contradict_what_was_given_are_told(
    liar: FabricNode, someone: Client
) -> None:
    giving(liar, [good_record()], BIG)
    found = someone.search("#covid")
    assert found.rejected == (("liar", MISCOUNTED, 1),)
    assert found.counts.datasets == 2
    assert found.claims["liar"] == BIG


def test_c22_what_was_given_twice_or_dropped_does_not_make_totals_wrong(
    liar: FabricNode, someone: Client
) -> None:
    good, expired = good_record(), signed(record(expires=1))
    giving(liar, [good, good, expired], Counts(datasets=2))
    problems = {problem for _, problem, _ in someone.search("#covid").rejected}
    assert problems == {REPEATED, "a record has expired (or our clock is wrong)"}


def test_c22_totals_of_which_a_part_was_given_are_marked_as_claims(
    make_grid: Callable[..., Grid],
) -> None:
    grid = make_grid(limits=replace(DEFAULT_LIMITS, search_pages=2))
    network = grid.launch("OpenGrid", "network")
    pages = [Found((good_record(name=str(n), schema=FLAGS),), next=n + 1) for n in range(3)]
    answering(network, Found(pages[0].records, next=1, counts=BIG), *pages[1:])
    found = scientist(grid, network).search("#covid")
    assert found.counts == BIG
    assert len(found.datasets()) == 2
    lines = repr(found).splitlines()
    assert lines[1].split() == ["23", "75474", "947467", "532", "23"]
    assert lines[2] == "partial: OpenGrid has more than the 2 answers that were taken"
    assert lines[3] == "counts are claims of OpenGrid; datasets listed: 2"
    assert "claims of OpenGrid" in found._repr_html_()


def test_c27_all_pages_are_read(liar: FabricNode, someone: Client) -> None:
    pages = [Found((good_record(name=str(n)),), next=n + 1) for n in range(5)]
    answering(liar, *pages, Found((good_record(name="last"),)))
    found = someone.search("#covid")
    assert len(found.datasets()) == 7
    assert not found.partial


def test_c27_pages_without_end_end(liar: FabricNode, someone: Client) -> None:
    places = iter(range(1, 10_000))
    lying(liar, lambda _: Found((), next=next(places)))
    found = someone.search("#covid")
    assert [d.name for d in found.datasets()] == ["true"]
    assert found.partial
    assert next(places) == DEFAULT_LIMITS.search_pages + 1


def test_c27_pages_in_a_circle_end_and_what_came_before_counts(
    grid: Grid, liar: FabricNode, someone: Client
) -> None:
    page = Found((good_record(name="good"),), next=7)
    lying(liar, lambda _: page)
    found = someone.search("#covid")
    assert {d.name for d in found.datasets()} == {"good", "true"}
    assert "after place 7" in found.missing[0].problem
    lying(liar, lambda _: Found((), next=7))
    with pytest.raises(RemoteProtocolError, match="after place 7"):
        network_at(grid.client("other"), liar.address).search("#covid")


def test_c27_a_network_that_names_itself_a_command_shows_as_text(grid: Grid) -> None:
    network = grid.launch("liar\x1b[2J", "network")
    client = scientist(grid, network)
    giving(network, [b""])
    found = client.search("#covid")
    assert "\x1b" not in repr(found) + found._repr_html_()


def test_c27_made_up_domains_do_not_fill_the_file_of_known_peers(
    liar: FabricNode, someone: Client
) -> None:
    giving(liar, [good_record(domain=f"d{number}") for number in range(3 * ENTRIES)])
    assert len(someone.search("#covid").datasets()) == 3 * ENTRIES + 1
    known = someone._known.all()
    assert len(known) == ENTRIES
    assert {peer.name for peer in known} >= {"liar", "honest"}


def test_c27_a_domain_that_lies_about_its_own_is_dropped_by_the_dht_too(grid: Grid) -> None:
    bob, eve = grid.launch("bob"), grid.launch("eve")
    for node in (bob, eve):
        publish(grid, node, "d", announce=True)
    stolen = bob.node._book.dataset_records()
    eve.node._book.find = lambda *_, **__: Found(stolen)  # type: ignore[method-assign]
    found = scientist(grid, bob).search("#covid")
    assert list(found) == ["bob"]
    assert found.rejected == (("eve", "a record is not signed by who it names", 1),)

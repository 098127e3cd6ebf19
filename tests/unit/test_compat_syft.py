"""The old names print and give what notebooks 000 and 001 show."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any, cast

import pytest

from p2pgrid.client.datasets import DatasetPointer
from p2pgrid.client.network import NetworkClient
from p2pgrid.client.results import Missing, SearchResults
from p2pgrid.compat import syft as gr
from p2pgrid.errors import InvalidQueryError
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.queries import query_of
from tests.unit.hits import ABOUT, FLAGS, covid_datasets, hit, record

COUNTS = """\
   distributed_datasets  datasets  tensors  dataset_schemas  tensor_schemas
0                    23     75474   947467              532              23"""
COLUMNS = [
    *("domain", "id", "upload-date", "version", "frameworks"),
    *("train_rows", "dev_rows", "test_rows"),
    *("schema", "tags", "description", "private", "metadata"),
]


class Results(SearchResults):
    """Results of which a network claims that there are many more."""

    counts = Counts(23, 75474, 947467, 532, 23)


class Answering:
    """A network that finds the same whatever it is asked."""

    name = "AMA"

    def __init__(self, datasets: Sequence[DatasetPointer]) -> None:
        self._datasets = datasets
        self.asked: list[Any] = []

    def search(self, *words: str, **forms: Any) -> SearchResults:
        self.asked.append(query_of(*words, **forms))
        return SearchResults(self._datasets, ())


def _network(answering: Answering) -> gr.Network:
    return gr.Network(cast(NetworkClient, answering), "http://ama.example")


def test_c22_the_counts_of_the_notebook_print_as_there() -> None:
    found = gr.Found(Results((), ()))
    assert repr(found) == COUNTS
    assert "<td>75474</td>" in found._repr_html_()


def test_c23_the_datasets_of_the_notebook_are_a_bare_table() -> None:
    datasets = gr.Found(SearchResults(covid_datasets(), ())).datasets(latest_version_only=True)
    assert datasets.index.name == "name"
    assert list(datasets.columns) == COLUMNS
    shown = datasets[["domain", "version", "train_rows", "dev_rows", "test_rows", "schema"]]
    assert [tuple(row) for row in shown.itertuples()] == [
        ("COVID Mortality", "UCSF", 1, 2626, 353, 366, "COVID-MORT-2"),
        ("US COVID Deaths", "CDC", 23, 34632, 355, 0, "COVID-MORT-2"),
        ("COVID Deaths", "AMA", 2, 2352, 335, 0, "COVID-MORT-2"),
    ]
    assert list(datasets["upload-date"]) == ["2019-12-18", "2020-01-18", "2020-02-20"]
    assert set(datasets["frameworks"]) == {"PT/TF/PD/NP/JX"}
    assert set(datasets["private"]) == {True}
    assert datasets.iloc[0].description == ABOUT


def test_c23_all_versions_are_there_unless_only_the_latest_is_asked_for() -> None:
    found = gr.Found(SearchResults([hit(record(version=number)) for number in (1, 3, 2)], ()))
    assert len(found.datasets()) == 3
    assert list(found.datasets(latest_version_only=True).version) == [3]


def test_c25_a_plain_search_gives_dictionaries() -> None:
    answering = Answering(covid_datasets())
    first, *others = _network(answering).search("diabetes")
    assert answering.asked == [query_of(anywhere="diabetes")]
    assert list(first) == ["id", "name", "description", "node", "tags", "tensors"]
    assert (first["name"], first["description"]) == ("COVID Mortality", ABOUT)
    assert first["node"].startswith("p2pgrid://12D3")
    assert first["tags"] == ["covid", "official"]
    assert [list(tensor) for tensor in first["tensors"]] == [["id", "name", "schema"]] * 2
    assert [tensor["name"] for tensor in first["tensors"]] == ["deaths", "region"]
    assert first["tensors"][0]["schema"] == [{"name": "deaths", "type": "int64", "description": ""}]
    assert first.node == first["node"]
    assert len(others) == 2
    with pytest.raises(AttributeError, match="only id, name"):
        _ = first.nodes


def test_c25_a_filter_by_tag_looks_at_tags_only() -> None:
    answering = Answering([hit(record())])
    (found,) = _network(answering).search({"tag": "diabetes"})
    assert answering.asked == [query_of(exact_tags="diabetes")]
    assert found["tensors"][0]["schema"] == []


def test_c25_an_unknown_filter_is_refused_by_name() -> None:
    answering = Answering(())
    with pytest.raises(InvalidQueryError, match=r"'colour'.* use tag, name, description"):
        _network(answering).search({"tag": "diabetes", "colour": "red"})
    assert answering.asked == []


def test_c26_pointers_come_by_domain_and_say_when_they_are_partial() -> None:
    found = gr.PointersByDomain(SearchResults([hit(record(domain="Bob"))], ()))
    assert list(found) == ["Bob"]
    assert all(isinstance(pointer, gr.PointerTensor) for pointer in found["Bob"])
    assert repr(found).startswith("{'Bob': [(Wrapper)>[PointerTensor | me:")
    assert not found.partial
    assert gr.PointersByDomain(SearchResults((), ())) == {}


def test_a_pointer_by_the_old_name_has_the_same_schema() -> None:
    described = hit(record(schema=FLAGS))
    (pointer,) = gr.PointersByDomain(SearchResults([described], ()))["UCSF"]
    assert pointer.schema == described["deaths"].schema == FLAGS["deaths"]


def test_c26_what_is_partial_says_so() -> None:
    results = SearchResults([hit(record())], (), missing=[Missing("Bob", "is offline")])
    assert gr.PointersByDomain(results).partial
    assert repr(gr.Found(results)).endswith("partial: somebody did not answer, see results.missing")


def test_an_old_name_that_is_not_here_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'getComputeTypes'"):
        _ = gr.getComputeTypes


def test_c01_torch_is_not_imported_by_the_old_names() -> None:
    program = "import sys, p2pgrid.compat.syft; print({'torch', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.strip() == b"set()"

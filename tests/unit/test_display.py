"""Everything that a person holds prints what is public, asks nobody, and obeys no hostile text."""

import traceback
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from p2pgrid.client.actor_class import ActorClasses
from p2pgrid.client.actor_pointer import ActorClass, ActorPointer
from p2pgrid.client.datasets import DatasetPointer
from p2pgrid.client.display import Display, Displayed, Tabular
from p2pgrid.client.distributed import DistributedDataset
from p2pgrid.client.holdings import HeldObjects
from p2pgrid.client.launch import Node
from p2pgrid.client.network import NetworkClient
from p2pgrid.client.pointer import TensorPointer
from p2pgrid.client.table_pointer import TablePointer
from p2pgrid.client.users import UserList
from p2pgrid.compat.tensors import PointerTensor
from p2pgrid.errors import DomainUnreachableError
from p2pgrid.ids import DatasetId, ObjectId, PeerId
from p2pgrid.protocol.messages import Account, Holding, Holdings
from p2pgrid.protocol.operations import ArrayMeta
from p2pgrid.protocol.records import DatasetRecord, NodeRecord, TensorInfo
from p2pgrid.protocol.signatures import ActorClassInfo
from p2pgrid.protocol.text import SHOWN, Rows
from tests.unit.hits import COVID_MORT_2, covid_datasets, hit, record

EVIL = "<script>alert(1)</script>\x1b[2J\x07\u202e&"
"""Markup, a terminal's escape, a bell, and text that runs backwards."""
PEER = PeerId("12D3KooWBob")
NODE = NodeRecord(kind="network", name=EVIL, addresses=(EVIL,), seq=1, expires=1)
DATASET = DatasetRecord(
    domain=EVIL,
    dataset_id=DatasetId(b"d" * 16),
    name=EVIL,
    description=EVIL * 20,
    tags=(EVIL,),
    tensors=(TensorInfo(EVIL, ObjectId(b"o" * 16), (100, 3), "float32"),),
    version=1,
    seq=1,
    expires=1,
)
CLASS = ActorClassInfo("Counter", (), (), EVIL)
STATUS = {
    "url": EVIL,
    "name": EVIL,
    "kind": "domain",
    "isolation": "cluster",
    "peer_id": PEER,
    "directory": "/srv/bob",
    "addresses": [EVIL],
    "gateway_pid": 1,
    "metrics": "",
}
ANA = Account(name=EVIL, public_key=b"k" * 32, role="scientist")
HELD = Holding(EVIL, PEER, 1, 2, (EVIL,), 1, 1.0, None)


def _printed() -> dict[str, Any]:
    """Each kind of handle and list, of a domain of which nothing but its name can be asked."""
    home: Any = SimpleNamespace(name=EVIL, peer_id=PEER)
    nobody: Any = None
    dataset = DatasetPointer(home, DATASET)
    column = TensorPointer(home, ObjectId(b"o" * 16), ArrayMeta((5,), np.dtype("int16")))
    return {
        "tensor": dataset[EVIL],
        "pointer tensor": PointerTensor.of(dataset[EVIL]),
        "dataset": dataset,
        "table": TablePointer({EVIL: column}),
        "distributed": DistributedDataset([hit(record(domain=EVIL, schema=COVID_MORT_2))]),
        "actor": ActorPointer(home, ObjectId(b"o" * 16), ActorClass(CLASS), None),
        "actor class": ActorClasses(home, (CLASS,))["Counter"],
        "actor classes": ActorClasses(home, (CLASS,)),
        "network": NetworkClient(
            nobody, peer_id=PEER, name=EVIL, address=EVIL, addresses=(), find=nobody
        ),
        "node": Node(STATUS, nobody),
        "users": UserList((ANA,)),
        "holdings": HeldObjects(Holdings((HELD,), 1)),
    }


@pytest.mark.parametrize("kind", _printed())
def test_a_hostile_text_shows_as_text(kind: str) -> None:
    printed = _printed()[kind]
    in_terminal, in_notebook = repr(printed), printed._repr_html_()
    assert in_terminal.replace("\n\t", "").replace("\n", "").isprintable()
    assert "alert(1)" in in_terminal
    assert in_notebook.isprintable()
    assert "&lt;script&gt;" in in_notebook
    assert "<script>" not in in_notebook


def test_the_text_of_an_error_obeys_no_name_either() -> None:
    error = DomainUnreachableError(peer=EVIL, addresses=1, reason="two\nlines")
    assert "alert(1)" in str(error)
    assert "two\nlines" in str(error)
    assert str(error).replace("\n", "").isprintable()
    assert "\x1b" not in "".join(traceback.format_exception(error))


class Shown(Displayed):
    def __init__(self, *facts: tuple[str, str]) -> None:
        self._facts = facts

    @override
    def _display(self) -> Display:
        return Display("Shown at bob", self._facts)


def test_a_handle_prints_in_one_line_and_as_a_table_of_two_columns() -> None:
    shown = Shown(("shape", "(5, 3)"), ("tags", ""), ("about", "two\n lines"))
    assert repr(shown) == "<Shown at bob: shape (5, 3); about two lines>"
    assert repr(Shown()) == "<Shown at bob>"
    assert shown._repr_html_() == (
        "<table><tr><th>Shown at bob</th><th></th></tr><tr><td>shape</td><td>(5, 3)</td></tr>"
        "<tr><td>about</td><td>two lines</td></tr></table>"
    )


def test_the_address_of_a_node_is_shown_whole() -> None:
    address = f"/ip4/192.0.2.7/tcp/4001/p2p/{'1' * 60}"
    nobody: Any = None
    node = Node({**STATUS, "name": "bob", "addresses": [address], "url": "http://h:1"}, nobody)
    assert f"<Node domain bob at {address}: url http://h:1; " in repr(node)
    assert repr(Node({**STATUS, "name": "bob", "addresses": []}, nobody)).startswith(
        "<Node domain bob: "
    )


def test_a_dataset_shows_what_is_public_of_it() -> None:
    dataset = covid_datasets()[0]
    assert repr(dataset).startswith(
        f"<DatasetPointer {dataset.id[-8:]} 'COVID Mortality' at UCSF: version 1; "
        "tensors deaths, region; rows train 2,626, dev 353, test 366; schema COVID-MORT-2; "
        "tags #covid #official; description This is"
    )


def test_a_long_fact_is_cut_in_display_only() -> None:
    dataset = _printed()["dataset"]
    assert dataset.description == EVIL * 20
    assert repr(dataset).count("alert") < 10
    assert dataset._repr_html_().count("alert") < 10


class Shelf(Tabular):
    def __init__(self, note: str = "") -> None:
        self._said = note

    @override
    def _rows(self) -> Rows:
        return (("book", "pages"), ("x" * 200, "7"))

    @override
    def _note(self) -> str:
        return self._said


def test_a_list_prints_as_a_table_with_a_note() -> None:
    heading, row, note = repr(Shelf("offline & old")).splitlines()
    assert heading.split() == ["book", "pages"]
    assert row.split() == [f"{'x' * SHOWN}...", "7"]
    assert note == "offline & old"
    assert Shelf("offline & old")._repr_html_().endswith("</table><p>offline &amp; old</p>")
    assert repr(Shelf()).count("\n") == 1
    assert Shelf()._repr_html_().endswith("</table>")


def test_the_users_of_a_domain_are_a_tuple_that_prints_as_a_table() -> None:
    users = UserList((Account(name="ana", public_key=b"k" * 32, role="owner"),))
    assert users == (users[0],)
    assert repr(users).splitlines()[1].split() == ["ana", "owner", (b"k" * 32).hex()]

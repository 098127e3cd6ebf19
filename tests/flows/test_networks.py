"""From the URL of a network to a dataset, on fakes, on packed nodes and on Ray clusters."""

import json

import numpy as np
import pytest

from p2pgrid.protocol.web import CONNECTED_NODES
from tests.fabric.conftest import domain_at
from tests.fabric.web import read
from tests.flows.grids import FlowGrid
from tests.waiting import until


def test_c05_c09_a_url_is_all_that_a_scientist_needs(
    grid: FlowGrid, capsys: pytest.CaptureFixture[str]
) -> None:
    bob, ana = grid.domain(), grid.client("ana-by-url")
    bob.owner().publish("by-url", np.ones((5, 3)), tags=("#by-url",))
    until(lambda: bob.name in json.loads(read(grid.url + CONNECTED_NODES))["grid-nodes"])
    (row,) = ana.save_network(grid.url).itertuples()
    assert capsys.readouterr().out == "Connecting... SUCCESS!\n"
    assert row.Index == "city"
    assert min(row.datasets, row.domains, row.online) >= 1
    assert list(ana.networks.id) == [row.id]
    assert [dataset.name for dataset in ana.search("#by-url").datasets()] == ["by-url"]
    assert domain_at(ana, bob.url).peer_id == bob.peer_id

"""A publication that is killed at any of its steps: the dataset is whole, or it is not there."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from actors.entries import objects_of
from actors.node import Node
from p2pgrid import DomainClient
from p2pgrid.config import DEFAULT_TIMING
from p2pgrid.errors import P2PGridError
from tests.libp2p.conftest import ROOT, Clinic
from tests.libp2p.striking import RAW, TENSORS, prepared

pytestmark = pytest.mark.libp2p

UPLOAD, STORE = "actors.transfer:Upload", "actors.store"
STEPS_OF_THE_NODE = {
    f"{UPLOAD}.__init__ before 1": False,
    "p2pgrid.net.bulk:Receiver.keep after 1": True,
    f"{UPLOAD}.work after 1": False,
    f"{UPLOAD}.__init__ after 2": False,
    f"{STORE}:Store.put before 1": False,
    f"{STORE}:TensorFiles.write after 1": False,
    f"{STORE}:TensorFiles.adopt after 1": False,
    f"{STORE}:Store.examine after 1": False,
    "actors.state:State.add_dataset before 1": False,
    "actors.state:State.add_dataset after 1": True,
}
"""Whether the publication goes on when the node is back in time; else it says that it did not."""

PUBLICATION = "p2pgrid.client.publication"
STEPS_OF_THE_PROGRAM = {
    f"{PUBLICATION}:Publication._upload before 1": False,
    "p2pgrid.net.bulk_pipe:Pipe.write before 3": False,
    f"{PUBLICATION}:Publication._upload before 2": False,
    f"{PUBLICATION}:Publication._publish before 1": False,
    f"{PUBLICATION}:Publication._publish after 1": True,
}
"""Whether the dataset is listed."""

OFTEN = {
    "p2pgrid.net.bulk:Receiver.keep after 1",
    "actors.state:State.add_dataset before 1",
    f"{PUBLICATION}:Publication._upload before 2",
    f"{PUBLICATION}:Publication._publish after 1",
}
"""The others run with ``make test-full``."""


def steps(of: dict[str, bool]) -> Sequence[object]:
    return [
        pytest.param(step, end, marks=() if step in OFTEN else pytest.mark.slow)
        for step, end in of.items()
    ]


def struck(*words: str) -> "subprocess.Popen[str]":
    """The process that kills itself; see ``striking.py``."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "libp2p" / "striking.py"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def assert_whole_or_absent(clinic: Clinic, owner: DomainClient, *, listed: bool) -> None:
    """What is listed has its values; there is no file of anything else."""
    assert [dataset.name for dataset in owner.datasets] == ["data"] * listed
    for dataset in owner.datasets:
        for name, values in TENSORS.items():
            np.testing.assert_array_equal(dataset[name].get()[:, 0], values)
        assert dataset.raw == RAW
    files = [path.name for path in clinic.directory.objects.iterdir() if path.is_file()]
    listing = clinic._state.datasets()
    of_datasets = [f"{key.hex()}.npy" for entry in listing for key in objects_of(entry)]
    assert sorted(files) == sorted(of_datasets)


@pytest.mark.parametrize(("step", "goes_on"), steps(STEPS_OF_THE_NODE))
def test_a_node_that_is_killed_in_a_publication_lists_all_or_nothing(
    clinic: Clinic, step: str, goes_on: bool
) -> None:
    node = struck("node", str(clinic.directory.path), step)
    clinic.take(node)
    owner = clinic.owner()

    def restart() -> Node:
        node.wait(timeout=60)
        return clinic.start_here()

    with ThreadPoolExecutor() as helper:
        restarted = helper.submit(restart)
        try:
            dataset = owner.publish_dataset(prepared())
        except P2PGridError:
            has_gone_on = False
        else:
            has_gone_on = {*dataset} == {*TENSORS}
    assert node.returncode == -signal.SIGKILL
    assert has_gone_on is goes_on
    until_its_lease_ends(restarted.result())
    assert_whole_or_absent(clinic, clinic.owner(), listed=goes_on)
    owner.publish_dataset(prepared("again"))


@pytest.mark.parametrize(("step", "is_listed"), steps(STEPS_OF_THE_PROGRAM))
def test_a_program_that_is_killed_in_a_publication_leaves_all_or_nothing(
    clinic: Clinic, step: str, is_listed: bool
) -> None:
    node = clinic.start_here()
    program = struck("program", str(clinic.home), clinic.address, step)
    assert program.wait() == -signal.SIGKILL
    program.communicate()
    owner = clinic.owner()
    assert [dataset.name for dataset in owner.datasets] == ["data"] * is_listed
    until_its_lease_ends(node)
    assert_whole_or_absent(clinic, owner, listed=is_listed)
    owner.publish_dataset(prepared("again"))


def until_its_lease_ends(node: Node) -> None:
    """What nobody has touched for ``transfer_idle_s``, or named for ``orphan_s``, ends."""
    transfers = node._transfers
    assert transfers is not None
    transfers._timing = replace(DEFAULT_TIMING, transfer_idle_s=0.0, orphan_s=0.0)
    node._loop.run(transfers.sweep())
    while transfers._open:  # until the bulk port has seen that the program is gone
        node._loop.run(transfers.sweep())
    transfers._timing = DEFAULT_TIMING

"""A data scientist's side of the demo: finds data by tag and computes on it where it is.

Runs with the base install alone. ``python examples/scientist.py keys PEER_ID USER ...`` prints the
public keys to send to the owners; ``network ADDRESS`` and ``dht`` do the research.
"""

import importlib.util
import json
import sys

import numpy as np
from rich.console import Console
from rich.table import Table

import p2pgrid
from p2pgrid.errors import GetNotPermittedError
from p2pgrid.ids import PeerId

console = Console(width=100, highlight=False)


def sum_column(dataset: p2pgrid.TensorPointer, column: int) -> p2pgrid.TensorPointer:
    """Adds up one column, row by row, in somebody else's cluster."""
    sum_result = dataset[0][column].copy()
    for i in range(1, dataset.shape[0]):
        sum_result += dataset[i][column]
    return sum_result


def keys(pairs: list[str]) -> None:
    """Makes a key per domain and user, and prints the public halves."""
    wallet = p2pgrid.default_client().wallet
    for peer_id, user in zip(map(PeerId, pairs[::2]), pairs[1::2], strict=True):
        wallet.new(peer_id, user)
        print(json.dumps({"user": user, "public_key": wallet.public_key(peer_id, user)}))


def show(results: p2pgrid.SearchResults) -> None:
    """Prints what a search found."""
    table = Table(title="found", title_justify="left")
    for column in ("domain", "dataset", "id", "tensors", "tags"):
        table.add_column(column)
    for found in results.datasets():
        tensors = ", ".join(f"{name} {pointer.shape}" for name, pointer in found.items())
        table.add_row(found.domain.name, found.name, found.id[:8], tensors, " ".join(found.tags))
    console.print(table)


def research(births: p2pgrid.SearchResults, cancer: p2pgrid.SearchResults) -> None:
    """Computes on what was found, and takes home what the owners allow."""
    show(births)
    show(cancer)
    february = births["bob"][0]
    domain = births.datasets()[0].domain
    domain.login("carol")
    try:
        february.get()
    except GetNotPermittedError as refusal:
        console.print(f"[yellow]refused:[/] {refusal}")
    moved = domain.link().array_bytes_received
    assert moved == 0, f"{moved} bytes of data moved"
    console.print(f"bytes of data moved by the refused get: {moved}")

    rows = february.shape[0]
    weight = sum_column(february, 1).get(user="ana") / rows
    height = sum_column(february, 2).get(user="ana") / rows
    console.print(f"mean weight [bold]{weight:.4f}[/] kg, mean height [bold]{height:.4f}[/] cm")
    assert f"{weight:.4f} {height:.4f}" == "3.8600 49.4800"

    table = cancer["ucsf"][0]
    means = table.sum(axis=0) / table.shape[0]  # one pipelined chain: nothing waits in between
    taken = means.get()
    console.print(f"means of {len(taken)} columns: {np.array2string(taken[:4], precision=4)} ...")
    print(json.dumps({"means": taken.tolist(), "dataset_id": births.datasets()[0].id}))


def main() -> None:
    """Runs what the command line says."""
    for name in ("ray", "torch", "crypten"):
        assert importlib.util.find_spec(name) is None, f"{name} is installed: not a base install"
    what, *arguments = sys.argv[1:]
    if what == "keys":
        keys(arguments)
    elif what == "network":
        network = p2pgrid.connect(arguments[0])
        assert isinstance(network, p2pgrid.NetworkClient)
        research(network.search("#February", "#birth-records"), network.search("#breast-cancer"))
    else:
        research(p2pgrid.search("#February", "#birth-records"), p2pgrid.search("#breast-cancer"))


if __name__ == "__main__":
    main()

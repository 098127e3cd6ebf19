"""Networks for searches, on fakes of the sockets: honest ones, and ones that answer as told."""

from collections.abc import Sequence

from p2pgrid import Client
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages import Found
from p2pgrid.protocol.queries import Query
from tests.fabric.conftest import FabricNode, Grid


def answering(network: FabricNode, *pages: Found) -> None:
    """Makes the network answer every search with these pages, whatever is asked."""
    places = {0: 0} | {page.next: number + 1 for number, page in enumerate(pages[:-1])}

    def search(_: Query, *, after: int, **__: int) -> Found:
        return pages[places[after]]

    network.registry.search = search  # type: ignore[method-assign, assignment]


def giving(network: FabricNode, records: Sequence[bytes], counts: Counts | None = None) -> None:
    """Makes the network answer every search with these records."""
    answering(network, Found(tuple(records), counts=counts))


def publish(grid: Grid, domain: FabricNode, name: str, **settings: object) -> str:
    """A dataset of one number; its id."""
    settings = {"tags": ("#covid",)} | settings
    return grid.owner_of(domain).publish(name, [1.0], **settings).id  # type: ignore[arg-type]


def scientist(grid: Grid, *networks: FabricNode, name: str = "scientist") -> Client:
    """A program of somebody who has met these networks."""
    client = grid.client(name)
    for network in networks:
        client.connect(network.address)
    return client

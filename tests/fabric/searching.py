"""Networks for searches, on fakes of the sockets: honest ones, and ones that answer as told."""

from collections.abc import Callable, Sequence

from actors.gateway import Answer
from p2pgrid import Client
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages import Found, Search
from tests.fabric.conftest import FabricNode, Grid


def lying(network: FabricNode, answer: Callable[[Search], Found]) -> None:
    """Makes the network answer every search like this."""

    async def search(_: object, message: Search, __: object) -> Answer:
        return Answer(answer(message))

    network.node._gateway._handlers[Search] = search


def answering(network: FabricNode, *pages: Found) -> None:
    """Makes the network answer every search with these pages, whatever is asked."""
    places = {0: 0} | {page.next: number + 1 for number, page in enumerate(pages[:-1])}
    lying(network, lambda asked: pages[places[asked.after]])


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

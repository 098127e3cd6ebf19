"""What a node shows over HTTP to anybody: who it is; a network also which domains are connected."""

import msgspec

from actors.network import Network
from actors.pages import JSON, Page, Pages
from actors.record_book import RecordBook
from p2pgrid.protocol.web import CONNECTED_NODES, WELL_KNOWN, document_of


def document_pages(book: RecordBook) -> Pages:
    """The signed document by which a URL leads to a node."""

    async def document() -> Page:
        return Page(JSON, document_of(book.signed_node_record(), book.peer_id))

    return {WELL_KNOWN: document}


def network_pages(network: Network) -> Pages:
    """The names that the domains which are connected to a network give themselves."""

    async def connected_nodes() -> Page:
        return Page(JSON, msgspec.json.encode({"grid-nodes": await network.online_names()}))

    return {CONNECTED_NODES: connected_nodes}

"""The client of this program, and the functions of ``p2pgrid`` that are short for its methods.

It is made when it is first needed, and libp2p is loaded with it: who knows no network yet sees the
empty table of networks without it.
"""

import atexit
from functools import cache
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from p2pgrid.client.networks import none_known
from p2pgrid.client.tables import Table
from p2pgrid.client.wallet import Wallet
from p2pgrid.config import default_home
from p2pgrid.protocol.queries import Forms

if TYPE_CHECKING:
    from p2pgrid.client.connect import Client
    from p2pgrid.client.domain import DomainClient
    from p2pgrid.client.network import NetworkClient
    from p2pgrid.client.results import SearchResults


@cache
def default_client() -> "Client":
    """The client behind the functions here; its home is ``$P2PGRID_HOME``."""
    from p2pgrid.client.connect import Client  # noqa: PLC0415 it loads libp2p

    client = Client()
    atexit.register(client.close)
    return client


def connect(address: str) -> "NetworkClient | DomainClient":
    """Dials a node and says who is there; see ``Client.connect``."""
    return default_client().connect(address)


def search(*words: str, **forms: Unpack[Forms]) -> "SearchResults":
    """The datasets that match, of all known networks; see ``Client.search``."""
    return default_client().search(*words, **forms)


def save_network(address: str) -> Table:
    """Connects to a network and keeps it in ``p2pgrid.networks``; see ``Client.save_network``."""
    return default_client().save_network(address)


def accept(text: str) -> Any:
    """A handle to what somebody shared with one of our keys; see ``Client.accept``."""
    return default_client().accept(text)


def networks() -> Table:
    """The networks that are known here; see ``Client.networks``."""
    empty = none_known(default_home())
    return default_client().networks if empty is None else empty


def wallet() -> Wallet:
    """The wallet of this program's client."""
    return default_client().wallet

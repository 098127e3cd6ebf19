"""Networks and domains by the names of PyGrid's client, as notebook 000 sketches it."""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from p2pgrid.client.datasets import DatasetPointer
from p2pgrid.client.display import Display, Displayed, reached_at
from p2pgrid.client.domain import DomainClient
from p2pgrid.client.found import tensors_of
from p2pgrid.client.network import NetworkClient
from p2pgrid.client.signing_in import User
from p2pgrid.errors import InvalidQueryError
from p2pgrid.protocol.schemas import TensorSchema
from p2pgrid.protocol.web import BY_PEER_ID

FILTERS = {"tag": "exact_tags", "name": "name", "description": "description"}
"""Keys of a filter, and the forms of a query that they mean."""

Text = str | Sequence[str]


class Entry(dict[str, Any]):
    """A dictionary whose keys can be read as attributes."""

    def __getattr__(self, key: str) -> Any:
        if key not in self:
            raise AttributeError(f"there is no {key!r} here, only {', '.join(self)}")
        return self[key]


class Network(Displayed):
    """A network whose searches give lists of dictionaries."""

    def __init__(self, client: NetworkClient, url: str) -> None:
        """``client``: of the native API."""
        self.client, self.url = client, url

    def search(self, query: str | Mapping[str, Text]) -> list[Entry]:
        """The datasets in which all words are found, or which a filter describes.

        Args:
            query: words, looked for in names, descriptions and tags; or a dictionary with keys of
                ``FILTERS``.

        Returns:
            For each dataset ``id, name, description, node, tags, tensors``; ``connect`` takes the
            ``node``. For each tensor ``id, name, schema``, whose columns have a name, a type and a
            description.

        Raises:
            InvalidQueryError: a filter has another key, or asks for nothing.
            P2PGridError: see ``NetworkClient.search``.
        """
        forms = {"anywhere": query} if isinstance(query, str) else _forms(query)
        return list(map(_entry, self.client.search(**forms).datasets()))

    def disconnect(self) -> None:
        """Ends the connection; see ``NetworkClient.disconnect``."""
        self.client.disconnect()

    @override
    def _display(self) -> Display:
        return Display(reached_at(f"Network {self.client.name}", (self.url,)))


class DomainNode(Displayed):
    """A domain at a URL; what has no old name is asked of its ``client``."""

    def __init__(self, client: DomainClient, url: str) -> None:
        """``client``: of the native API."""
        self.client, self.node = client, url

    def signup(self, email: str, password: str) -> User:
        """Makes an account and logs in; see ``DomainClient.signup``."""
        return self.client.signup(email, password)

    def login(self, email: str, password: str) -> User:
        """Logs in to an account; see ``DomainClient.login``."""
        return self.client.login(email, password)

    @override
    def _display(self) -> Display:
        return Display(reached_at(f"DomainNode {self.client.name}", (self.node,)))


def _forms(filters: Mapping[str, Text]) -> dict[str, Text]:
    for key in filters:
        if key not in FILTERS:
            problem = f"there is no such key; use {', '.join(FILTERS)}"
            raise InvalidQueryError(form=repr(key[:40]), problem=problem)
    return {FILTERS[key]: text for key, text in filters.items()}


def _entry(dataset: DatasetPointer) -> Entry:
    return Entry(
        id=dataset.id,
        name=dataset.name,
        description=dataset.description,
        node=f"{BY_PEER_ID}{dataset.domain.peer_id}",
        tags=list(dataset.tags),
        tensors=[
            Entry(id=tensor.id, name=tensor.name, schema=_columns(tensor.schema))
            for tensor in tensors_of([dataset])
        ],
    )


def _columns(schema: TensorSchema | None) -> list[Entry]:
    columns = () if schema is None else schema.columns
    return [Entry(name=it.name, type=it.kind, description=it.description) for it in columns]

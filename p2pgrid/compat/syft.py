"""The names of PySyft 0.2 and PyGrid, for notebooks that were written for them.

``from p2pgrid.compat import syft as gr`` stands for ``from syft import grid as gr``, and for
``import syft as sy``. Everything here is a few lines over the native API, and nothing but names:
see ``docs/from-pysyft.md``. Trust and errors are those of the native names.
"""

from typing import Any

import msgspec
from typing_extensions import Unpack, override

import p2pgrid
from p2pgrid.client.display import Display, Displayed, reached_at
from p2pgrid.client.domain import DomainClient
from p2pgrid.client.pointer import TensorPointer
from p2pgrid.client.results import SearchResults
from p2pgrid.client.tables import Table, table
from p2pgrid.compat.nodes import DomainNode, Network
from p2pgrid.compat.tensors import PointerTensor, PrivateTensor, private_tensor
from p2pgrid.protocol.queries import Forms

__all__ = [
    "DomainNode",
    "Found",
    "Network",
    "PointerTensor",
    "PointersByDomain",
    "PrivateTensor",
    "PublicGridNetwork",
    "TorchHook",
    "connect",
    "private_tensor",
    "save_network",
    "search",
]

save_network = p2pgrid.save_network


def __getattr__(name: str) -> Any:
    """``networks`` and ``wallet``, as they are at each access."""
    if name not in {"networks", "wallet"}:
        raise AttributeError(f"module 'p2pgrid.compat.syft' has no attribute {name!r}")
    return getattr(p2pgrid, name)


class Found:
    """What a search found: prints as its counts, and gives a bare table of datasets."""

    def __init__(self, results: SearchResults) -> None:
        """``results``: of the native search."""
        self.results = results

    def datasets(self, *, latest_version_only: bool = False) -> Table:
        """The datasets by name; see ``SearchResults.datasets``."""
        return self.results.datasets(latest_version_only).table

    @override
    def __repr__(self) -> str:
        return repr(self._counts())

    def _repr_html_(self) -> str:
        return self._counts()._repr_html_()

    def _counts(self) -> Table:
        counts = msgspec.structs.asdict(self.results.counts)
        note = "partial: somebody did not answer, see results.missing"
        return table([counts], list(counts), note=note if self.results.partial else "")


def search(*words: str, **forms: Unpack[Forms]) -> Found:
    """Searches all known networks at once; see ``p2pgrid.search``."""
    return Found(p2pgrid.search(*words, **forms))


def connect(url: str) -> Network | DomainNode:
    """Whoever is at a URL; see ``p2pgrid.connect``."""
    client = p2pgrid.connect(url)
    if isinstance(client, DomainClient):
        return DomainNode(client, url)
    return Network(client, url)


class TorchHook:
    """Nothing: torch is not patched; see ``private_tensor``."""

    def __init__(self, torch: object = None) -> None:
        """``torch``: not used."""


class PointersByDomain(dict[str, list[Any]]):
    """Pointers by the names of domains; ``partial`` if somebody did not answer.

    They are ``PointerTensor``, and ``TablePointer`` where columns have different dtypes.
    """

    def __init__(self, results: SearchResults) -> None:
        """``results``: of the native search."""
        for domain, pointers in results.items():
            self[domain] = list(map(_old, pointers))
        self.partial = results.partial


class PublicGridNetwork(Displayed):
    """A network whose searches by tags give pointers by domain."""

    def __init__(self, hook: object, url: str) -> None:
        """Connects to the network at ``url``; the hook is not used.

        Raises:
            NetworkUnreachableError: nobody answered.
            NotAGridNetworkError: what is there is no network.
        """
        del hook
        self.client, self.url = p2pgrid.default_client().network(url), url

    def search(self, *tags: str) -> PointersByDomain:
        """The datasets that have all these tags; see ``NetworkClient.search``."""
        return PointersByDomain(self.client.search(*tags))

    @override
    def _display(self) -> Display:
        return Display(reached_at(f"PublicGridNetwork {self.client.name}", (self.url,)))


def _old(pointer: Any) -> Any:
    """The same pointer, printed as of old; a table stays what it is."""
    return PointerTensor.of(pointer) if isinstance(pointer, TensorPointer) else pointer

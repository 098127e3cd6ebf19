"""``p2pgrid.networks``: the networks that a person knows, as a table.

Nothing of libp2p is loaded here: who knows no network gets the empty table at once.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from p2pgrid.client.in_thread import in_thread
from p2pgrid.client.known_networks import KnownNetwork, KnownNetworks
from p2pgrid.client.tables import Table, table
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import (
    AddressError,
    NetworkNameConflictError,
    NotAGridNetworkError,
    P2PGridError,
)
from p2pgrid.protocol.text import printable

if TYPE_CHECKING:
    from p2pgrid.client.network import NetworkClient

COLUMNS = ("name", "id", "datasets", "models", "domains", "online", "registered")
NONE_KNOWN = "no network is known yet: add one with p2pgrid.save_network(url)"
ASK_S = 5.0
"""How long the networks have to answer, all together."""


class Reach(Protocol):
    """By which networks are reached; ``Client`` is one."""

    def network(self, address: str) -> "NetworkClient":
        """The network at an address."""

    def known_network(self, known: KnownNetwork) -> "NetworkClient":
        """A network of the history."""


@dataclass(frozen=True, slots=True)
class Row:
    """A network in the table; ``problem`` says why it did not answer."""

    known: KnownNetwork
    online: int = 0
    problem: str = ""


class Networks:
    """The networks of the history and of the defaults, and what they answer."""

    def __init__(self, known: KnownNetworks, reach: Reach, *, wallet: Wallet) -> None:
        self._known, self._reach, self._wallet = known, reach, wallet

    def table(self, *, ask_s: float = ASK_S) -> Table:
        """All of them, asked at the same time; see ``Client.networks``."""
        history, unvisited = self._known.history(), self._known.unvisited()
        asked = [(known, partial(self._ask_known, known)) for known in history]
        asked += [(_never_met(address), partial(self._ask_new, address)) for address in unvisited]
        return self._shown(_answers(asked, ask_s))

    def add(self, address: str) -> Table:
        """Reaches a network and keeps it; see ``Client.save_network``."""
        try:
            client = self._reach.network(address)
        except AddressError as error:
            raise NotAGridNetworkError(address=address, problem=str(error)) from error
        self._require_own_name(client)
        return self._shown([self._ask(client, address)])

    def forget(self, name: str) -> Table:
        """Takes a network with this name, peer id or address out of the history; its row.

        Raises:
            NotAGridNetworkError: there is none.
        """
        known = self._known.find(name)
        if known is None:
            raise NotAGridNetworkError(address=name, problem="no such network is known here")
        self._known.forget(known)
        return self._shown([Row(known)])

    def _ask_known(self, known: KnownNetwork) -> Row:
        return self._ask(self._reach.known_network(known), known.address)

    def _ask_new(self, address: str) -> Row:
        client = self._reach.network(address)
        self._require_own_name(client)
        known = self._known.find(client.peer_id)
        return self._ask(client, address if known is None else known.address)

    def _ask(self, client: "NetworkClient", address: str) -> Row:
        """Asks a network for its numbers, and keeps them."""
        status = client.status()
        known = KnownNetwork(
            peer_id=client.peer_id,
            name=client.name,
            address=address,
            addresses=client.addresses,
            datasets=status.datasets,
            models=status.models,
            domains=status.domains,
        )
        self._known.remember(known)
        return Row(known, status.online)

    def _require_own_name(self, client: "NetworkClient") -> None:
        for other in self._known.history():
            if other.name == client.name and other.peer_id != client.peer_id:
                raise NetworkNameConflictError(
                    name=client.name, known=other.peer_id, new=client.peer_id
                )

    def _shown(self, rows: Sequence[Row]) -> Table:
        kept: dict[str, Row] = {}
        for row in rows:  # a default may be a network of the history, under another address
            kept.setdefault(row.known.peer_id or row.known.address, row)
        wallet = self._wallet.keys()
        keys = Counter(key.network for key in wallet if key.network)
        names = Counter(row.known.name for row in kept.values())
        silent = [
            printable(f"{row.known.name}: {row.problem}") for row in kept.values() if row.problem
        ]
        note = "\n".join(["did not answer, so these are old numbers:", *silent])
        return table(
            [_cells(row, names, keys) for row in kept.values()],
            COLUMNS,
            index="name",
            note=(note if silent else "") if kept else NONE_KNOWN,
        )


def none_known(home: Path) -> Table | None:
    """The table when no network is known in this home; None when there is one to ask."""
    known = KnownNetworks(home)
    if known.history() or known.defaults():
        return None
    return table([], COLUMNS, index="name", note=NONE_KNOWN)


def _never_met(address: str) -> KnownNetwork:
    return KnownNetwork(peer_id="", name=address, address=address)


def _answers(asked: Sequence[tuple[KnownNetwork, Callable[[], Row]]], ask_s: float) -> list[Row]:
    answers = [in_thread(ask, name="networks") for _, ask in asked]
    wait(answers, ask_s)
    return [_row(known, answer, ask_s) for (known, _), answer in zip(asked, answers, strict=True)]


def _row(known: KnownNetwork, answer: "Future[Row]", ask_s: float) -> Row:
    try:
        return answer.result(timeout=0)
    except TimeoutError:
        return Row(known, problem=f"no answer within {ask_s:g} s")
    except P2PGridError as error:
        return Row(known, problem=str(error))


def _cells(row: Row, names: Mapping[str, int], keys: Mapping[str, int]) -> dict[str, Any]:
    known = row.known
    same = names[known.name] > 1
    return {
        "name": f"{known.name}@{known.peer_id[-8:]}" if same else known.name,
        "id": known.peer_id,
        "datasets": known.datasets,
        "models": known.models,
        "domains": known.domains,
        "online": row.online,
        "registered": sum(keys[it] for it in {known.name, known.peer_id, known.address}),
    }

"""Peer-to-peer, actor-based runtime for private data science.

Start with ``p2pgrid.connect(address)`` or ``p2pgrid.search("#tag")``. Importing this package
loads nothing heavy: names below are loaded when first used, libp2p when first needed, and never
Ray, torch or CrypTen.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from p2pgrid.client.actor_pointer import ActorPointer as ActorPointer
    from p2pgrid.client.call_result import ResultPointer as ResultPointer
    from p2pgrid.client.connect import Client as Client
    from p2pgrid.client.dataset_model import Dataset as Dataset, prepare_dataset as prepare_dataset
    from p2pgrid.client.datasets import DatasetPointer as DatasetPointer
    from p2pgrid.client.default import (
        accept as accept,
        connect as connect,
        default_client as default_client,
        save_network as save_network,
        search as search,
    )
    from p2pgrid.client.distributed import DistributedDataset as DistributedDataset
    from p2pgrid.client.domain import DomainClient as DomainClient
    from p2pgrid.client.free import free as free
    from p2pgrid.client.launch import Node as Node, launch as launch, start as start, stop as stop
    from p2pgrid.client.network import NetworkClient as NetworkClient
    from p2pgrid.client.pointer import TensorPointer as TensorPointer
    from p2pgrid.client.private_tensor import private_tensor as private_tensor
    from p2pgrid.client.results import SearchResults as SearchResults
    from p2pgrid.client.table_pointer import TablePointer as TablePointer
    from p2pgrid.client.tables import Table
    from p2pgrid.client.waiting import cancel as cancel, get as get, kill as kill, wait as wait
    from p2pgrid.client.wallet import Wallet as Wallet
    from p2pgrid.errors import P2PGridError as P2PGridError
    from p2pgrid.exports import export as export, method as method
    from p2pgrid.protocol.budgets import Entity as Entity, UserBudget as UserBudget
    from p2pgrid.protocol.columns import Column as Column
    from p2pgrid.protocol.schemas import (
        DatasetSchema as DatasetSchema,
        TensorSchema as TensorSchema,
    )

    networks: Table
    """The networks that are known here, asked anew at each access; see ``Client.networks``."""
    wallet: Wallet
    """The wallet of this program's client, in ``$P2PGRID_HOME``."""

# A library leaves the choice of handlers to the program; without any, warnings would go to stderr.
logging.getLogger(__name__).addHandler(logging.NullHandler())

_HOMES = {
    "ActorPointer": "client.actor_pointer",
    "Client": "client.connect",
    "Column": "protocol.columns",
    "Dataset": "client.dataset_model",
    "DatasetPointer": "client.datasets",
    "DatasetSchema": "protocol.schemas",
    "DistributedDataset": "client.distributed",
    "DomainClient": "client.domain",
    "Entity": "protocol.budgets",
    "NetworkClient": "client.network",
    "Node": "client.launch",
    "P2PGridError": "errors",
    "ResultPointer": "client.call_result",
    "SearchResults": "client.results",
    "TablePointer": "client.table_pointer",
    "TensorPointer": "client.pointer",
    "TensorSchema": "protocol.schemas",
    "UserBudget": "protocol.budgets",
    "Wallet": "client.wallet",
    "accept": "client.default",
    "cancel": "client.waiting",
    "connect": "client.default",
    "default_client": "client.default",
    "export": "exports",
    "free": "client.free",
    "get": "client.waiting",
    "kill": "client.waiting",
    "launch": "client.launch",
    "method": "exports",
    "prepare_dataset": "client.dataset_model",
    "private_tensor": "client.private_tensor",
    "save_network": "client.default",
    "search": "client.default",
    "start": "client.launch",
    "stop": "client.launch",
    "wait": "client.waiting",
}

__all__ = [
    "ActorPointer",
    "Client",
    "Column",
    "Dataset",
    "DatasetPointer",
    "DatasetSchema",
    "DistributedDataset",
    "DomainClient",
    "Entity",
    "NetworkClient",
    "Node",
    "P2PGridError",
    "ResultPointer",
    "SearchResults",
    "TablePointer",
    "TensorPointer",
    "TensorSchema",
    "UserBudget",
    "Wallet",
    "accept",
    "cancel",
    "connect",
    "default_client",
    "export",
    "free",
    "get",
    "kill",
    "launch",
    "method",
    "prepare_dataset",
    "private_tensor",
    "save_network",
    "search",
    "start",
    "stop",
    "wait",
]


def __getattr__(name: str) -> object:
    if name in {"networks", "wallet"}:  # objects, as they are at each access
        return getattr(import_module("p2pgrid.client.default"), name)()
    if name not in _HOMES:
        raise AttributeError(f"module 'p2pgrid' has no attribute {name!r}")
    return getattr(import_module(f"p2pgrid.{_HOMES[name]}"), name)

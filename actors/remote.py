"""The services as Ray actors, and the actors' handles as ports.

Only this module, ``remote_hosts``, ``packs`` and ``driver`` know Ray. Every actor here is detached
and restarts: ``State`` and ``Store`` reload what they acknowledged from disk, the gateway reloads
its policy from ``State``, a pack its nodes from their directories. A call to ``State`` is repeated
after a crash, because it is idempotent; one to ``Store`` is not: results that lived in its memory
are gone.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from actors.channel import ChannelStore, StoreServer
from actors.exports import Exports
from actors.layout import NodeDirectory
from actors.logs import Level, log_to_stderr
from actors.node import Node
from actors.pack import Pack, Serving
from actors.ports import AuditEvent, Census, Credential, DatasetEntry, Revocation
from actors.registry import Registry
from actors.remote_hosts import RemoteHosts
from actors.state import State
from actors.store import Store
from p2pgrid.errors import UnavailableError
from p2pgrid.protocol.messages import Account, Found
from p2pgrid.protocol.queries import Query

FOREVER = {"num_cpus": 0, "max_restarts": -1, "lifetime": "detached"}

RemoteState = ray.remote(max_task_retries=-1, **FOREVER)(State)
RemoteRegistry = ray.remote(max_task_retries=-1, **FOREVER)(Registry)


class _Port:
    """A Ray actor behind an async method; errors come back as the services raised them."""

    def __init__(self, actor: Any, *, name: str) -> None:
        self._actor, self._name = actor, name

    async def _call(self, method: str, *args: object, **named: object) -> Any:
        try:
            return await getattr(self._actor, method).remote(*args, **named)
        except RayTaskError as error:
            raise error.cause from None
        except RayActorError as error:
            raise UnavailableError(domain=self._name) from error


class StateHandle(_Port):
    """``StatePort`` over Ray."""

    async def accounts(self) -> tuple[Account, ...]:
        """See ``StatePort``."""
        return await self._call("accounts")  # type: ignore[no-any-return]

    async def enrol(self, account: Account) -> None:
        """See ``StatePort``."""
        await self._call("enrol", account)

    async def sign_up(self, account: Account, credential: Credential) -> None:
        """See ``StatePort``."""
        await self._call("sign_up", account, credential)

    async def credential(self, name: str) -> Credential | None:
        """See ``StatePort``."""
        return await self._call("credential", name)  # type: ignore[no-any-return]

    async def add_key(self, account: Account) -> None:
        """See ``StatePort``."""
        await self._call("add_key", account)

    async def remove_account(self, name: str) -> None:
        """See ``StatePort``."""
        await self._call("remove_account", name)

    async def claim(self, token: bytes, public_key: bytes, *, domain: str, now: int) -> Account:
        """See ``StatePort``."""
        return await self._call("claim", token, public_key, domain=domain, now=now)  # type: ignore[no-any-return]

    async def datasets(self) -> tuple[DatasetEntry, ...]:
        """See ``StatePort``."""
        return await self._call("datasets")  # type: ignore[no-any-return]

    async def add_dataset(self, entry: DatasetEntry) -> None:
        """See ``StatePort``."""
        await self._call("add_dataset", entry)

    async def revocations(self) -> tuple[Revocation, ...]:
        """See ``StatePort``."""
        return await self._call("revocations")  # type: ignore[no-any-return]

    async def revoke(self, revocation: Revocation, *, now: int) -> None:
        """See ``StatePort``."""
        await self._call("revoke", revocation, now=now)

    async def audit(self, event: AuditEvent) -> None:
        """See ``StatePort``."""
        await self._call("audit", event)

    async def next_sequence(self, *, now: int) -> int:
        """See ``StatePort``."""
        return await self._call("next_sequence", now=now)  # type: ignore[no-any-return]


class RegistryHandle(_Port):
    """``RegistryPort`` over Ray."""

    async def join(
        self, peer: str, node: bytes, datasets: Sequence[bytes], *, more: bool = False
    ) -> None:
        """See ``RegistryPort``."""
        await self._call("join", peer, node, datasets, more=more)

    async def lists(self, peer: str) -> bool:
        """See ``RegistryPort``."""
        return await self._call("lists", peer)  # type: ignore[no-any-return]

    async def census(self) -> Census:
        """See ``RegistryPort``."""
        return await self._call("census")  # type: ignore[no-any-return]

    async def search(self, query: Query, *, after: int, limit: int) -> Found:
        """See ``RegistryPort``."""
        return await self._call("search", query, after=after, limit=limit)  # type: ignore[no-any-return]


@ray.remote(max_task_retries=-1, **FOREVER)
class RemoteStore:
    """The store's process; the gateway talks to it over the channel, not by Ray calls."""

    def __init__(self, objects: Path, channel: Path, log_level: Level) -> None:
        log_to_stderr(log_level)
        self._server = StoreServer(Store(objects), channel)

    def is_up(self) -> bool:
        """True; who asks waits until the process serves (again)."""
        return True


@ray.remote(max_task_retries=0, **FOREVER)
class RemoteGateway:
    """The process that talks to the network; it serves from the end of ``__init__`` on."""

    def __init__(
        self, directory: str, state: Any, store: Any | None, channel: Path, registry: Any | None
    ) -> None:
        place = NodeDirectory(Path(directory))
        settings = place.settings()
        log_to_stderr(settings.log_level)
        self._node = Node(
            settings,
            seed=place.seed(),
            network_key=place.network_key(),
            state=StateHandle(state, name=settings.name),
            store=None if store is None else _store_port(store, channel, name=settings.name),
            objects=None if store is None else place.objects,
            exports=None if store is None else Exports(place.exports),
            hosts=None if store is None else _hosts(place, channel.parent),
            registry=None if registry is None else RegistryHandle(registry, name=settings.name),
        )
        self._node.start()

    def status(self) -> Serving:
        """Where the node listens."""
        return Serving(self._node.addresses, os.getpid(), self._node.metrics, self._node.url)

    def stop(self) -> None:
        """Ends all links and frees the port; the process is of no use afterwards."""
        self._node.stop()


@ray.remote(max_task_retries=-1, **FOREVER)
class RemotePack(Pack):
    """A process of many nodes; it has its record's nodes from the end of ``__init__`` on."""

    def __init__(self, record: Path) -> None:
        log_to_stderr()
        super().__init__(record)


def _hosts(place: NodeDirectory, sockets: Path) -> RemoteHosts:
    return RemoteHosts(
        place.exports,
        sockets=sockets,
        peer_id=place.peer_id(),
        log_level=place.settings().log_level,
    )


def _store_port(store: Any, channel: Path, *, name: str) -> ChannelStore:
    async def until_up() -> None:
        try:
            await store.is_up.remote()
        except RayActorError as error:
            raise UnavailableError(domain=name) from error

    return ChannelStore(channel, name=name, until_up=until_up)

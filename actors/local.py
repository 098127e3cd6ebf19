"""The services behind their ports in the same process: no Ray, the same order, the same errors.

For tests and for the nodes of a pack. A call blocks the loop while it works, unless the port is
given a worker: one thread, which carries out calls in the order in which they were made.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from actors.ports import (
    AuditEvent,
    Census,
    Credential,
    DatasetEntry,
    Executed,
    Exported,
    Revocation,
)
from actors.registry import Registry
from actors.state import State
from actors.store import Store
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Account, Found
from p2pgrid.protocol.queries import Query

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class _Port:
    """Calls on the loop, or on the worker."""

    def __init__(self, worker: Executor | None) -> None:
        self._worker = worker

    async def _call(
        self,
        method: Callable[Arguments, Result],
        *args: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        if self._worker is None:
            return method(*args, **named)
        loop = asyncio.get_running_loop()
        work = partial(copy_context().run, method, *args, **named)  # the id of the request is there
        return await loop.run_in_executor(self._worker, work)


class LocalState(_Port):
    """``StatePort`` over a ``State`` of this process."""

    def __init__(self, state: State, worker: Executor | None = None) -> None:
        super().__init__(worker)
        self.state = state

    async def accounts(self) -> tuple[Account, ...]:
        """See ``StatePort``."""
        return await self._call(self.state.accounts)

    async def enrol(self, account: Account) -> None:
        """See ``StatePort``."""
        await self._call(self.state.enrol, account)

    async def sign_up(self, account: Account, credential: Credential) -> None:
        """See ``StatePort``."""
        await self._call(self.state.sign_up, account, credential)

    async def credential(self, name: str) -> Credential | None:
        """See ``StatePort``."""
        return await self._call(self.state.credential, name)

    async def add_key(self, account: Account) -> None:
        """See ``StatePort``."""
        await self._call(self.state.add_key, account)

    async def remove_account(self, name: str) -> None:
        """See ``StatePort``."""
        await self._call(self.state.remove_account, name)

    async def claim(self, token: bytes, public_key: bytes, *, domain: str, now: int) -> Account:
        """See ``StatePort``."""
        return await self._call(self.state.claim, token, public_key, domain=domain, now=now)

    async def datasets(self) -> tuple[DatasetEntry, ...]:
        """See ``StatePort``."""
        return await self._call(self.state.datasets)

    async def add_dataset(self, entry: DatasetEntry) -> None:
        """See ``StatePort``."""
        await self._call(self.state.add_dataset, entry)

    async def revocations(self) -> tuple[Revocation, ...]:
        """See ``StatePort``."""
        return await self._call(self.state.revocations)

    async def revoke(self, revocation: Revocation, *, now: int) -> None:
        """See ``StatePort``."""
        await self._call(self.state.revoke, revocation, now=now)

    async def audit(self, event: AuditEvent) -> None:
        """See ``StatePort``."""
        await self._call(self.state.audit, event)

    async def next_sequence(self, *, now: int) -> int:
        """See ``StatePort``."""
        return await self._call(self.state.next_sequence, now=now)


class LocalStore(_Port):
    """``StorePort`` over a ``Store`` of this process, which never restarts."""

    waiting = restarts = 0

    def __init__(self, store: Store, worker: Executor | None = None) -> None:
        super().__init__(worker)
        self.store = store

    async def put(self, tensors: Sequence[tuple[ObjectId, Array]]) -> None:
        """See ``StorePort``."""
        await self._call(self.store.put, tensors)

    async def execute(self, operations: bytes, buffers: Sequence[Buffer]) -> Executed:
        """See ``StorePort``."""
        return await self._call(self.store.execute, operations, buffers)

    async def get(self, object_id: ObjectId) -> Array:
        """See ``StorePort``."""
        return await self._call(self.store.get, object_id)

    async def adopt(self, object_ids: Sequence[ObjectId]) -> None:
        """See ``StorePort``."""
        await self._call(self.store.adopt, object_ids)

    async def examine(self, entry: DatasetEntry) -> UserBudget:
        """See ``StorePort``."""
        return await self._call(self.store.examine, entry)

    async def discard(self, object_ids: Sequence[ObjectId]) -> None:
        """See ``StorePort``."""
        await self._call(self.store.discard, object_ids)

    async def export(self, object_id: ObjectId) -> Exported:
        """See ``StorePort``."""
        return await self._call(self.store.export, object_id)

    async def drop(self, prefix: bytes) -> None:
        """See ``StorePort``."""
        await self._call(self.store.drop, prefix)


class LocalRegistry(_Port):
    """``RegistryPort`` over a ``Registry`` of this process."""

    def __init__(self, registry: Registry, worker: Executor | None = None) -> None:
        super().__init__(worker)
        self.registry = registry

    async def join(
        self, peer: str, node: bytes, datasets: Sequence[bytes], *, more: bool = False
    ) -> None:
        """See ``RegistryPort``."""
        await self._call(self.registry.join, peer, node, datasets, more=more)

    async def lists(self, peer: str) -> bool:
        """See ``RegistryPort``."""
        return await self._call(self.registry.lists, peer)

    async def census(self) -> Census:
        """See ``RegistryPort``."""
        return await self._call(self.registry.census)

    async def search(self, query: Query, *, after: int, limit: int) -> Found:
        """See ``RegistryPort``."""
        return await self._call(self.registry.search, query, after=after, limit=limit)

"""The services behind their ports in the same process: no Ray, the same order, the same errors.

For tests and for nodes that share a process; a call blocks the loop while it works.
"""

from collections.abc import Sequence

from actors.ports import AuditEvent, DatasetEntry, Exported, FailedObject
from actors.registry import Registry
from actors.state import State
from actors.store import Store
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Account


class LocalState:
    """``StatePort`` over a ``State`` of this process."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def accounts(self) -> tuple[Account, ...]:
        """See ``StatePort``."""
        return self.state.accounts()

    async def enrol(self, account: Account) -> None:
        """See ``StatePort``."""
        self.state.enrol(account)

    async def datasets(self) -> tuple[DatasetEntry, ...]:
        """See ``StatePort``."""
        return self.state.datasets()

    async def add_dataset(self, entry: DatasetEntry) -> None:
        """See ``StatePort``."""
        self.state.add_dataset(entry)

    async def audit(self, event: AuditEvent) -> None:
        """See ``StatePort``."""
        self.state.audit(event)

    async def next_sequence(self, *, now: int) -> int:
        """See ``StatePort``."""
        return self.state.next_sequence(now=now)


class LocalStore:
    """``StorePort`` over a ``Store`` of this process."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def put(self, tensors: Sequence[tuple[ObjectId, Array]]) -> None:
        """See ``StorePort``."""
        self.store.put(tensors)

    async def execute(
        self, operations: bytes, buffers: Sequence[Buffer]
    ) -> tuple[FailedObject, ...]:
        """See ``StorePort``."""
        return self.store.execute(operations, buffers)

    async def get(self, object_id: ObjectId) -> Array:
        """See ``StorePort``."""
        return self.store.get(object_id)

    async def adopt(self, object_ids: Sequence[ObjectId]) -> None:
        """See ``StorePort``."""
        self.store.adopt(object_ids)

    async def export(self, object_id: ObjectId) -> Exported:
        """See ``StorePort``."""
        return self.store.export(object_id)

    async def drop(self, prefix: bytes) -> None:
        """See ``StorePort``."""
        self.store.drop(prefix)


class LocalRegistry:
    """``RegistryPort`` over a ``Registry`` of this process."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    async def join(self, peer: str, node: bytes, datasets: Sequence[bytes]) -> None:
        """See ``RegistryPort``."""
        self.registry.join(peer, node, datasets)

    async def search(self, tags: Sequence[str]) -> tuple[bytes, ...]:
        """See ``RegistryPort``."""
        return self.registry.search(tags)

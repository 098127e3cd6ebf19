"""What the services of a node see of each other; in production a Ray actor stands behind each."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from typing_extensions import override

from p2pgrid.ids import DatasetId, ObjectId, PeerId
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Account, ActorOptions, Found, PartKind
from p2pgrid.protocol.metadata import Metadata
from p2pgrid.protocol.queries import Query
from p2pgrid.protocol.records import Split
from p2pgrid.protocol.schemas import DatasetSchema


class TensorEntry(NamedTuple):
    """An array of a dataset, as the catalog lists it: public metadata only."""

    object_id: ObjectId
    name: str
    dtype: str
    shape: tuple[int, ...]
    split: Split = "train"
    column: str = ""


class PartEntry(NamedTuple):
    """A private part of a dataset; see ``NewPart``. Only owners learn that there is one."""

    object_id: ObjectId
    kind: PartKind
    dtype: str
    shape: tuple[int, ...]
    split: Split = "train"


class DatasetEntry(NamedTuple):
    """A version of a dataset, as the catalog lists it.

    Entries that were written before a field was there have its default.
    """

    dataset_id: DatasetId
    name: str
    description: str
    tags: tuple[str, ...]
    allowed: frozenset[str]
    announce: bool
    tensors: tuple[TensorEntry, ...]
    allowed_domains: frozenset[PeerId] = frozenset()
    """Where it may move."""
    parts: tuple[PartEntry, ...] = ()
    schema: DatasetSchema | None = None
    metadata: Metadata | None = None
    private: bool = True
    version: int = 1
    uploaded: int = 0
    """Unix seconds."""
    budget: UserBudget | None = None
    """The worst of its entities, if there is a schema."""


class AuditEvent(NamedTuple):
    """Who tried what, and how it ended; never a value."""

    account: str
    action: str
    target: str
    outcome: str


class Revocation(NamedTuple):
    """A link of capabilities that draw on an account was taken back."""

    link: bytes
    account: str
    expires: int
    """Unix seconds: by then no capability has this link any more."""


class Credential(NamedTuple):
    """What belongs to the password of an account."""

    user_id: bytes
    """16 random bytes, for the life of the account."""
    hashed: str
    """By argon2id; parameters and salt are written in it."""

    @override
    def __repr__(self) -> str:
        return f"Credential({self.user_id.hex()}, <secret>)"


class StatePort(Protocol):
    """Accounts, catalog, revocations, audit of a domain; what was acknowledged survives a crash."""

    async def accounts(self) -> tuple[Account, ...]:
        """All accounts."""

    async def enrol(self, account: Account) -> None:
        """Adds an account; the same again changes nothing.

        Raises:
            DuplicateError: the name or the key belongs to another account.
        """

    async def sign_up(self, account: Account, credential: Credential) -> None:
        """Adds an account with a password; the same again changes nothing.

        Raises:
            DuplicateError: the name or the key belongs to another account.
            TooLargeError: there are too many accounts.
        """

    async def credential(self, name: str) -> Credential | None:
        """What belongs to the password of an account; None: it has none, or does not exist."""

    async def add_key(self, account: Account) -> None:
        """Adds a key to an account; the same again changes nothing.

        Raises:
            DuplicateError: the key belongs to another account.
            TooLargeError: the account has too many keys.
        """

    async def remove_account(self, name: str) -> None:
        """Removes an account with its keys and its password; twice is as once."""

    async def claim(self, token: bytes, public_key: bytes, *, domain: str, now: int) -> Account:
        """Makes the first owner, by the setup token; the same again changes nothing.

        Raises:
            SetupTokenError: the token is not the one, or is over; or there is an owner.
            DuplicateError: the key belongs to another account.
        """

    async def datasets(self) -> tuple[DatasetEntry, ...]:
        """All datasets."""

    async def add_dataset(self, entry: DatasetEntry) -> None:
        """Lists a dataset; the same again changes nothing.

        Raises:
            DuplicateError: another dataset has this id, or this name and version.
        """

    async def revocations(self) -> tuple[Revocation, ...]:
        """All links that were taken back."""

    async def revoke(self, revocation: Revocation, *, now: int) -> None:
        """Takes a link back; the same again changes nothing.

        Raises:
            QuotaExceededError: too many links of this account were taken back.
        """

    async def audit(self, event: AuditEvent) -> None:
        """Appends to the audit log."""

    async def next_sequence(self, *, now: int) -> int:
        """A sequence number for a record: above all earlier ones, at least ``now``."""


class FailedObject(NamedTuple):
    """An operation that the store could not do.

    ``reference`` finds the cause in its log; it is empty when an operand did not exist.
    """

    out: ObjectId
    reference: str


class Executed(NamedTuple):
    """What became of operations: which failed, and how long the store worked on them."""

    failed: tuple[FailedObject, ...]
    ran_s: float


class Exported(NamedTuple):
    """A file with the values of an object: raw, little-endian, in C order, from ``start`` on."""

    path: Path
    start: int
    is_temporary: bool
    """True when whoever asked removes the file."""


class StorePort(Protocol):
    """The values. Calls are carried out in the order in which they were made."""

    @property
    def waiting(self) -> int:
        """Calls that are not answered yet."""

    @property
    def restarts(self) -> int:
        """How often the store was lost and reached again."""

    async def put(self, tensors: Sequence[tuple[ObjectId, Array]]) -> None:
        """Keeps tensors of a dataset; durable when it returns. The same again is harmless."""

    async def execute(self, operations: bytes, buffers: Sequence[Buffer]) -> Executed:
        """Carries out an encoded, admitted ``Operate``."""

    async def get(self, object_id: ObjectId) -> Array:
        """The values of an object.

        Raises:
            KeyError: there is no such object.
            UnavailableError: as from every method: the store restarts.
        """

    async def adopt(self, object_ids: Sequence[ObjectId]) -> None:
        """Takes whole, synced drafts of tensors (``store.draft_of``) over; twice is as once."""

    async def examine(self, entry: DatasetEntry) -> UserBudget:
        """Holds what was put and adopted against its schema; the worst budget of its entities.

        Raises:
            UnfitValuesError: values, or whose they are, are not what the entry says.
        """

    async def discard(self, object_ids: Sequence[ObjectId]) -> None:
        """Removes the files of tensors that no dataset names."""

    async def export(self, object_id: ObjectId) -> Exported:
        """The values of an object as a file; what lives in memory is written to the spool.

        Raises:
            KeyError: there is no such object.
            DiskFullError: there is no room to spool it.
        """

    async def drop(self, prefix: bytes) -> None:
        """Forgets all objects of a session."""


class HostsPort(Protocol):
    """The processes of actors of exported classes; each has one object."""

    async def start(self, actor: ObjectId, cls: str, options: ActorOptions) -> None:
        """Starts a process; it may have to wait until there is room for it.

        Raises:
            ActorUnschedulableError: there will never be.
        """

    async def connect(self, actor: ObjectId) -> socket.socket:
        """Its end of ``host_channel``, once a process is up that has no object yet.

        Raises:
            ActorDiedError: there is none any more, and there will be none.
        """

    async def kill(self, actor: ObjectId) -> None:
        """Ends the process; there will be no other."""


class Census(NamedTuple):
    """What a network lists: the names of domains by their peer ids, and how many datasets."""

    domains: Mapping[PeerId, str]
    datasets: int


class RegistryPort(Protocol):
    """A network's index of signed records; it believes none that is not verified."""

    async def join(
        self, peer: str, node: bytes, datasets: Sequence[bytes], *, more: bool = False
    ) -> None:
        """Replaces what is known of a peer; with ``more`` to come, only adds to it."""

    async def lists(self, peer: str) -> bool:
        """Whether a peer has joined, and its record has not expired."""

    async def census(self) -> Census:
        """How much is listed and has not expired."""

    async def search(self, query: Query, *, after: int, limit: int) -> Found:
        """A page of the records that match and have not expired, from place ``after`` on."""

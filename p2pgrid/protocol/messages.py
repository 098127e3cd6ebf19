"""Every message of ``/p2pgrid/1``: what it asks, and how much of it there may be.

A message is a frozen struct with a tag; lengths are capped here, so that decoding refuses an
excess before it allocates. To add one: write the struct, add it to ``Message``, add golden bytes
to ``tests/unit/frames.py``, and a row to the dispatch table of the node that answers it.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from p2pgrid.protocol.arrays import ArrayHeader, DtypeName, Shape
from p2pgrid.protocol.relay import PipeTicket, Service
from p2pgrid.protocol.signatures import ActorClassInfo, Identifier
from p2pgrid.protocol.values import Value as CallValue

WIRE_VERSION = 1
MAX_OPERATIONS = 4096
MAX_INPUTS = 64
MAX_RECORD_BYTES = 64 * 1024
MAX_RECORDS = 1000
MAX_HOLDINGS = 256
TICKS_PER_S = 100_000
MAX_SOURCES_TOLD = 4
DIGEST_BYTES = 8
TOKEN_BYTES = 32
MAX_CALLS = 4096
MAX_CLASSES = 256
MAX_WAIT_S = 20.0
"""How long a node keeps a question about results open; whoever waits longer asks again."""
MAX_CAPABILITY_BYTES = 4096
MAX_RELAY_ADDRESS = 160
"""With the peer that it leads to behind it, it fits into a record."""

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
OptionalName = Annotated[str, Meta(max_length=128)]
Peer = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=16_384)]
Tags = Annotated[tuple[Annotated[str, Meta(max_length=100)], ...], Meta(max_length=32)]
Record = Annotated[bytes, Meta(max_length=MAX_RECORD_BYTES)]
Records = Annotated[tuple[Record, ...], Meta(max_length=MAX_RECORDS)]
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
Role = Literal["scientist", "owner"]
EncodedCapability = Annotated[bytes, Meta(max_length=MAX_CAPABILITY_BYTES)]
"""An encoded ``protocol.capability.Capability``; empty: none."""
ByteCount = Annotated[int, Meta(ge=0, lt=1 << 62)]
Digest = Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


class Slice(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A Python slice."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None


Operand = Id | int | float | bool | ArrayHeader
"""An object of the domain, a number (weakly typed, as in numpy), or an array of this frame."""

Param = (
    int
    | float
    | bool
    | None
    | Annotated[str, Meta(max_length=16)]
    | Slice
    | Annotated[tuple[int, ...], Meta(max_length=32)]
)


class Op(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One operation: apply ``name`` to ``inputs`` and keep the result as ``out``."""

    name: Annotated[str, Meta(max_length=16)]
    out: Id
    inputs: Annotated[tuple[Operand, ...], Meta(max_length=MAX_INPUTS)]
    params: Annotated[tuple[Param, ...], Meta(max_length=64)] = ()


class _Message(Struct, frozen=True, forbid_unknown_fields=True):
    """Common settings of all messages."""


class Begin(_Message, frozen=True, tag="begin"):
    """Asks who is there and for a nonce to sign."""

    version: int = WIRE_VERSION


class Challenge(_Message, frozen=True, tag="challenge"):
    """The node's name and kind, a fresh nonce of this link, its signed record, and its clock."""

    kind: Literal["domain", "network"]
    name: Name
    nonce: Annotated[bytes, Meta(min_length=16, max_length=16)]
    record: Record
    now: float
    """Unix seconds, as the node believes; any number, from a hostile one."""


def label_of(nonce: bytes) -> str:
    """What both ends of a link call it in their logs."""
    return nonce[:4].hex()


class Login(_Message, frozen=True, tag="login"):
    """A signed login statement over the nonce of this link.

    With a capability, the key is its audience, and the login is by what the capability gives.
    """

    statement: Annotated[bytes, Meta(max_length=1024)]
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]
    capability: EncodedCapability = b""


class Session(_Message, frozen=True, tag="session"):
    """The login holds; objects are named ``prefix`` + 8 bytes of the client, above ``last``.

    A client whose link broke gets the session that it had, as long as its lease runs. The
    capability is for the key that logged in, to be narrowed and given on.
    """

    account: Name
    role: Role
    prefix: Annotated[bytes, Meta(min_length=8, max_length=8)]
    last: Annotated[bytes, Meta(min_length=8, max_length=8)] = bytes(8)
    capability: EncodedCapability = b""


class Revoke(_Message, frozen=True, tag="revoke"):
    """Takes a link of capabilities back, and with it all that hang on it.

    Owners may take back any; who signed a link shows a capability that has it.
    """

    link: Id
    capability: EncodedCapability = b""


class Enrol(_Message, frozen=True, tag="enrol"):
    """An owner gives a public key an account."""

    name: Name
    public_key: PublicKey
    role: Role = "scientist"


class Account(_Message, frozen=True, tag="account", gc=False):
    """An enrolled account."""

    name: Name
    public_key: PublicKey
    role: Role


class ListAccounts(_Message, frozen=True, tag="list-accounts"):
    """An owner asks for all accounts."""


class Accounts(_Message, frozen=True, tag="accounts"):
    """All accounts of a domain."""

    accounts: Annotated[tuple[Account, ...], Meta(max_length=100_000)]


class ListObjects(_Message, frozen=True, tag="list-objects"):
    """An owner asks who holds what."""


class Holding(_Message, frozen=True, tag="holding"):
    """The results that one session holds; public metadata only."""

    account: Name
    peer: Name
    objects: Annotated[int, Meta(ge=0)]
    held_bytes: Annotated[int, Meta(ge=0)]
    datasets: Annotated[tuple[Name, ...], Meta(max_length=MAX_SOURCES_TOLD)]
    """Names of the first of the datasets that the objects derive from."""
    sources: Annotated[int, Meta(ge=0)]
    """How many datasets that are."""
    age_s: float
    """Since the session was opened."""
    left_s: float | None
    """Until it is collected, unless its peer comes back; None while it is connected."""


class Holdings(_Message, frozen=True, tag="holdings"):
    """The sessions of a domain, the largest first; ``sessions`` counts those left out, too."""

    held: Annotated[tuple[Holding, ...], Meta(max_length=MAX_HOLDINGS)]
    sessions: Annotated[int, Meta(ge=0)]


class NewTensor(_Message, frozen=True, tag="new-tensor"):
    """A tensor of a dataset that is being published; its id is chosen by the publisher.

    Its values are in the frame, or they were ``uploaded`` before under the same id.
    """

    name: Name
    object_id: Id
    header: ArrayHeader
    uploaded: bool = False


class Publish(_Message, frozen=True, tag="publish"):
    """An owner publishes a dataset; repeating it with the same id changes nothing."""

    dataset_id: Id
    name: Name
    description: Text
    tags: Tags
    allowed: Annotated[tuple[Name, ...], Meta(max_length=10_000)]
    announce: bool
    tensors: Annotated[tuple[NewTensor, ...], Meta(min_length=1, max_length=256)]
    allowed_domains: Annotated[tuple[Peer, ...], Meta(max_length=256)] = ()
    """Domains to which its values, and what derives from them, may move."""


class Published(_Message, frozen=True, tag="published"):
    """The dataset is durable and listed; here is its signed record."""

    record: Record


class ListDatasets(_Message, frozen=True, tag="list-datasets"):
    """Anyone asks a domain for the records of datasets that have all these tags."""

    tags: Tags = ()


class Search(_Message, frozen=True, tag="search"):
    """Anyone asks a network for the records of datasets that have all these tags."""

    tags: Tags


class Found(_Message, frozen=True, tag="found"):
    """Signed dataset records; ``partial`` when more matched than are given."""

    records: Records
    partial: bool = False


class Join(_Message, frozen=True, tag="join"):
    """A domain lists itself and its datasets at a network, until the records expire."""

    node: Record
    datasets: Records


class Operate(_Message, frozen=True, tag="operate"):
    """Operations in order, then objects that are needed no more."""

    ops: Annotated[tuple[Op, ...], Meta(max_length=MAX_OPERATIONS)]
    free: Annotated[tuple[Id, ...], Meta(max_length=2 * MAX_OPERATIONS)] = ()


class Failure(_Message, frozen=True, tag="failure"):
    """A refusal or mistake: a code of ``errors.py`` and public fields; never a free text."""

    code: int
    fields: Annotated[
        dict[
            Annotated[str, Meta(max_length=32)], Annotated[str, Meta(max_length=400)] | int | float
        ],
        Meta(max_length=8),
    ]


class FailedOp(_Message, frozen=True, tag="failed-op"):
    """The operation that should have made ``out`` failed, or one that it needs."""

    out: Id
    failure: Failure


Ticks = Annotated[int, Meta(ge=0, lt=1 << 40)]


class Spent(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Where the domain's time went, in ticks of 10 microseconds."""

    gateway: Ticks = 0
    store_queue: Ticks = 0
    store: Ticks = 0


class Operated(_Message, frozen=True, tag="operated"):
    """The operations were done, except these."""

    failed: Annotated[tuple[FailedOp, ...], Meta(max_length=MAX_OPERATIONS)] = ()
    spent: Spent = Spent()


class Get(_Message, frozen=True, tag="get"):
    """Asks for the values of an object, by the right of ``account`` (empty: the first login)."""

    object_id: Id
    account: OptionalName = ""


class Value(_Message, frozen=True, tag="value"):
    """The values of an object."""

    header: ArrayHeader


class OpenUpload(_Message, frozen=True, tag="open-upload"):
    """An owner begins, or resumes, to send an array for a dataset to come.

    Another domain does the same for a ``Deposit``: all its buffers as one array of uint8.
    """

    object_id: Id
    dtype: DtypeName
    shape: Shape
    capability: EncodedCapability = b""
    """As in ``Deposit``; empty for owners."""


class OpenDownload(_Message, frozen=True, tag="open-download"):
    """Begins, or resumes at ``offset``, to take home a large object; see ``Get``."""

    transfer_id: Id
    object_id: Id
    account: OptionalName = ""
    offset: ByteCount = 0


class Ticket(Struct, frozen=True, forbid_unknown_fields=True):
    """Lets one connection in at the bulk port, once, soon; ``fingerprint`` is its certificate's."""

    port: Annotated[int, Meta(ge=1, le=65_535)]
    fingerprint: Annotated[bytes, Meta(min_length=32, max_length=32)]
    token: Annotated[bytes, Meta(min_length=TOKEN_BYTES, max_length=TOKEN_BYTES)]


class Opened(_Message, frozen=True, tag="opened"):
    """A transfer of ``size`` bytes goes on at ``offset``; without a ticket, by chunks."""

    size: ByteCount
    offset: ByteCount
    ticket: Ticket | None = None


class SendChunk(_Message, frozen=True, tag="send-chunk"):
    """The next chunk of an upload, where no socket connects; its bytes are the only buffer."""

    transfer_id: Id
    offset: ByteCount
    digest: Digest


class Durable(_Message, frozen=True, tag="durable"):
    """So many bytes of the upload are durable."""

    offset: ByteCount


class FetchChunk(_Message, frozen=True, tag="fetch-chunk"):
    """Asks for a chunk of a download, where no socket connects."""

    transfer_id: Id
    offset: ByteCount


class Chunk(_Message, frozen=True, tag="chunk"):
    """A chunk of a download; its bytes are the only buffer."""

    offset: ByteCount
    digest: Digest


class CloseTransfer(_Message, frozen=True, tag="close-transfer"):
    """The transfer is over, or not wanted any more; what was kept of it is removed."""

    transfer_id: Id


class ListClasses(_Message, frozen=True, tag="list-classes"):
    """An account asks which classes the owner has exported."""


class Classes(_Message, frozen=True, tag="classes"):
    """The exported classes."""

    classes: Annotated[tuple[ActorClassInfo, ...], Meta(max_length=MAX_CLASSES)]


Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Amount = Annotated[float, Meta(ge=0, le=1e6)]
Arguments = Annotated[tuple[CallValue, ...], Meta(max_length=32)]
NamedArguments = Annotated[dict[Identifier, CallValue], Meta(max_length=32)]


class ActorOptions(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an actor asks of Ray, in Ray's words; ``memory`` in bytes."""

    num_cpus: Amount = 0.0
    num_gpus: Amount = 0.0
    memory: ByteCount = 0
    max_restarts: Annotated[int, Meta(ge=-1, le=1000)] = 0
    name: OptionalName = ""
    """A named actor of an owner outlives its session; others find it by its name."""


class Make(Struct, frozen=True, tag="make", array_like=True, forbid_unknown_fields=True):
    """Make an actor of an exported class, and call it ``out``."""

    out: Id
    cls: Identifier
    args: Arguments = ()
    kwargs: NamedArguments = {}
    options: ActorOptions = ActorOptions()


class Call(Struct, frozen=True, tag="call", array_like=True, forbid_unknown_fields=True):
    """Call a method of an actor, and keep its result as ``out``.

    Calls of one session to one actor are carried out in the order in which they were made.
    """

    out: Id
    actor: Id
    method: Identifier
    args: Arguments = ()
    kwargs: NamedArguments = {}
    timeout_s: Seconds | None = None
    """Cancel it when it has no result by then, counted from its arrival; None: never."""


class Invoke(_Message, frozen=True, tag="invoke"):
    """Actors to make and methods to call, in order; then objects that are needed no more."""

    calls: Annotated[tuple[Make | Call, ...], Meta(max_length=MAX_CALLS)]
    free: Annotated[tuple[Id, ...], Meta(max_length=2 * MAX_OPERATIONS)] = ()


class Invoked(_Message, frozen=True, tag="invoked"):
    """The calls are under way, except these, which were refused."""

    failed: Annotated[tuple[FailedOp, ...], Meta(max_length=MAX_CALLS)] = ()


class AwaitResults(_Message, frozen=True, tag="await-results"):
    """Asks which of these have a result, or failed, once ``num_returns`` have, or time is up."""

    object_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=MAX_CALLS)]
    num_returns: Annotated[int, Meta(ge=1, le=MAX_CALLS)]
    timeout_s: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)]


class Ready(_Message, frozen=True, tag="ready"):
    """These have a result, or failed, in the order in which they were asked for."""

    object_ids: Annotated[tuple[Id, ...], Meta(max_length=MAX_CALLS)]


class TakeResults(_Message, frozen=True, tag="take-results"):
    """Asks for results by the right of ``account``; answered when the first of them is there.

    ``timeout_s`` bounds the wait. An answer holds as many as are ready and fit, from the front.
    """

    object_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=MAX_CALLS)]
    timeout_s: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)]
    account: OptionalName = ""


class Outcome(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A result, or why there is none; the arrays of all outcomes are the frame's buffers."""

    value: CallValue = None
    failure: Failure | None = None


class Results(_Message, frozen=True, tag="results"):
    """The outcomes of the first of the objects asked for; none when time was up."""

    outcomes: Annotated[tuple[Outcome, ...], Meta(max_length=MAX_CALLS)]


class CancelCall(_Message, frozen=True, tag="cancel-call"):
    """Cancels a call: one that waits is not begun; with ``force`` one that runs ends its actor."""

    object_id: Id
    force: bool = False


class KillActor(_Message, frozen=True, tag="kill-actor"):
    """Ends an actor at once; what it has under way fails."""

    object_id: Id


class FindActor(_Message, frozen=True, tag="find-actor"):
    """Asks for a named actor."""

    name: Name


class ActorFound(_Message, frozen=True, tag="actor-found"):
    """The named actor and its class."""

    object_id: Id
    cls: ActorClassInfo


class MoveObject(_Message, frozen=True, tag="move-object"):
    """Asks a domain to push an object to another one, which knows it as ``out`` from then on.

    ``capability`` is one of that domain; it lets this domain's node, and nobody else, deposit
    the object there.
    """

    object_id: Id
    to: Peer
    addresses: Annotated[tuple[Annotated[str, Meta(max_length=256)], ...], Meta(max_length=16)]
    capability: EncodedCapability
    out: Id
    account: OptionalName = ""


class Deposit(_Message, frozen=True, tag="deposit"):
    """A domain gives another one a value under a name that a session there waits for.

    The audience of the capability is the key of the domain that sends this, which the transport
    has proved. Buffers that are large were ``uploaded`` before, in one, under the same id.
    """

    out: Id
    value: CallValue
    capability: EncodedCapability
    uploaded: bool = False


class Abandon(_Message, frozen=True, tag="abandon"):
    """Nothing will be deposited under this name: what waits for it fails with ``failure``."""

    out: Id
    failure: Failure


class Reserve(_Message, frozen=True, tag="reserve"):
    """A domain that listed itself at a network asks for a place at its relay; see ``Reserved``."""


class Reserved(_Message, frozen=True, tag="reserved"):
    """The place holds as long as this link; the relay takes pipes at these multiaddrs."""

    addresses: Annotated[
        tuple[Annotated[str, Meta(max_length=MAX_RELAY_ADDRESS)], ...],
        Meta(min_length=1, max_length=4),
    ]


class Incoming(_Message, frozen=True, tag="incoming"):
    """A relay tells a peer with a place: somebody dials; bring a pipe, with this ticket."""

    ticket: PipeTicket
    service: Service


class Done(_Message, frozen=True, tag="done"):
    """Done; there is nothing to tell."""


Message = (
    Begin
    | Challenge
    | Login
    | Session
    | Revoke
    | Enrol
    | Account
    | ListAccounts
    | Accounts
    | ListObjects
    | Holdings
    | Publish
    | Published
    | ListDatasets
    | Search
    | Found
    | Join
    | Operate
    | Operated
    | Get
    | Value
    | OpenUpload
    | OpenDownload
    | Opened
    | SendChunk
    | Durable
    | FetchChunk
    | Chunk
    | CloseTransfer
    | ListClasses
    | Classes
    | Invoke
    | Invoked
    | AwaitResults
    | Ready
    | TakeResults
    | Results
    | CancelCall
    | KillActor
    | FindActor
    | ActorFound
    | MoveObject
    | Deposit
    | Abandon
    | Reserve
    | Reserved
    | Incoming
    | Done
    | Failure
)

__all__ = ["WIRE_VERSION", "DtypeName", "Message", "Shape"]

"""Every message of ``/p2pgrid/1``: what it asks, and how much of it there may be.

A message is a frozen struct with a tag; lengths are capped here, so that decoding refuses an
excess before it allocates. To add one: write the struct, add it to ``Message``, add golden bytes
to ``tests/unit/frames.py``, and a row to the dispatch table of the node that answers it.
"""

from p2pgrid.protocol.arrays import DtypeName, Shape
from p2pgrid.protocol.messages.base import (
    MAX_CAPABILITY_BYTES,
    MAX_INPUTS,
    MAX_OPERATIONS,
    MAX_RECORD_BYTES,
    MAX_RECORDS,
    WIRE_VERSION,
    ByteCount,
    Done,
    EncodedCapability,
    FailedOp,
    Failure,
    Id,
    Name,
    OptionalName,
    Peer,
    PublicKey,
    Record,
    Records,
    Tags,
    Text,
)
from p2pgrid.protocol.messages.calls import (
    MAX_CALLS,
    MAX_CLASSES,
    MAX_WAIT_S,
    ActorFound,
    ActorOptions,
    Amount,
    Arguments,
    AwaitResults,
    Call,
    CancelCall,
    Classes,
    FindActor,
    Invoke,
    Invoked,
    KillActor,
    ListClasses,
    Make,
    NamedArguments,
    Outcome,
    Ready,
    Results,
    Seconds,
    TakeResults,
)
from p2pgrid.protocol.messages.datasets import (
    MAX_PARTS,
    AskEntitySecret,
    EntitySecret,
    Found,
    Join,
    ListDatasets,
    ListParts,
    NewPart,
    NewTensor,
    Part,
    PartKind,
    Parts,
    Place,
    Publish,
    Published,
    Search,
)
from p2pgrid.protocol.messages.moves import Abandon, Deposit, MoveObject
from p2pgrid.protocol.messages.networks import Describe, NetworkStatus
from p2pgrid.protocol.messages.operations import (
    TICKS_PER_S,
    Get,
    Op,
    Operand,
    Operate,
    Operated,
    Param,
    Slice,
    Spent,
    Ticks,
    Value,
)
from p2pgrid.protocol.messages.relay import MAX_RELAY_ADDRESS, Incoming, Reserve, Reserved
from p2pgrid.protocol.messages.sessions import (
    MAX_HOLDINGS,
    MAX_SOURCES_TOLD,
    Account,
    Accounts,
    Begin,
    Challenge,
    Claim,
    Enrol,
    Enrolled,
    Holding,
    Holdings,
    ListAccounts,
    ListObjects,
    Login,
    PasswordLogin,
    RemoveAccount,
    Revoke,
    Role,
    Session,
    SignUp,
    label_of,
)
from p2pgrid.protocol.messages.transfers import (
    DIGEST_BYTES,
    TOKEN_BYTES,
    Chunk,
    CloseTransfer,
    Digest,
    Durable,
    FetchChunk,
    OpenDownload,
    Opened,
    OpenUpload,
    SendChunk,
    Ticket,
)

Message = (
    Begin
    | Challenge
    | Login
    | Session
    | Revoke
    | SignUp
    | PasswordLogin
    | Enrolled
    | Claim
    | Enrol
    | RemoveAccount
    | Account
    | ListAccounts
    | Accounts
    | ListObjects
    | Holdings
    | Publish
    | Published
    | AskEntitySecret
    | EntitySecret
    | ListParts
    | Parts
    | ListDatasets
    | Search
    | Found
    | Join
    | Describe
    | NetworkStatus
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

__all__ = [
    "DIGEST_BYTES",
    "MAX_CALLS",
    "MAX_CAPABILITY_BYTES",
    "MAX_CLASSES",
    "MAX_HOLDINGS",
    "MAX_INPUTS",
    "MAX_OPERATIONS",
    "MAX_PARTS",
    "MAX_RECORDS",
    "MAX_RECORD_BYTES",
    "MAX_RELAY_ADDRESS",
    "MAX_SOURCES_TOLD",
    "MAX_WAIT_S",
    "TICKS_PER_S",
    "TOKEN_BYTES",
    "WIRE_VERSION",
    "Abandon",
    "Account",
    "Accounts",
    "ActorFound",
    "ActorOptions",
    "Amount",
    "Arguments",
    "AskEntitySecret",
    "AwaitResults",
    "Begin",
    "ByteCount",
    "Call",
    "CancelCall",
    "Challenge",
    "Chunk",
    "Claim",
    "Classes",
    "CloseTransfer",
    "Deposit",
    "Describe",
    "Digest",
    "Done",
    "DtypeName",
    "Durable",
    "EncodedCapability",
    "Enrol",
    "Enrolled",
    "EntitySecret",
    "FailedOp",
    "Failure",
    "FetchChunk",
    "FindActor",
    "Found",
    "Get",
    "Holding",
    "Holdings",
    "Id",
    "Incoming",
    "Invoke",
    "Invoked",
    "Join",
    "KillActor",
    "ListAccounts",
    "ListClasses",
    "ListDatasets",
    "ListObjects",
    "ListParts",
    "Login",
    "Make",
    "Message",
    "MoveObject",
    "Name",
    "NamedArguments",
    "NetworkStatus",
    "NewPart",
    "NewTensor",
    "Op",
    "OpenDownload",
    "OpenUpload",
    "Opened",
    "Operand",
    "Operate",
    "Operated",
    "OptionalName",
    "Outcome",
    "Param",
    "Part",
    "PartKind",
    "Parts",
    "PasswordLogin",
    "Peer",
    "Place",
    "PublicKey",
    "Publish",
    "Published",
    "Ready",
    "Record",
    "Records",
    "RemoveAccount",
    "Reserve",
    "Reserved",
    "Results",
    "Revoke",
    "Role",
    "Search",
    "Seconds",
    "SendChunk",
    "Session",
    "Shape",
    "SignUp",
    "Slice",
    "Spent",
    "Tags",
    "TakeResults",
    "Text",
    "Ticket",
    "Ticks",
    "Value",
    "label_of",
]

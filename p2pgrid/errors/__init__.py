"""Every error that p2pgrid raises, split by what the caller does next.

P2PGridError
├── ConfigError                      1xx  mend the set-up
│   ├── MissingExtraError            101  install an extra
│   ├── WalletError                  110  the wallet file cannot be used as it is
│   │   ├── WalletLockedError        111  give the passphrase
│   │   ├── NoKeyError               112  make a key for this domain
│   │   └── WalletConflictError      113  an import has other keys for the same domains
│   ├── PasswordError (ValueError)   114  a new password or its name is not fit
│   ├── NodeError                    120  a node did not start or stop
│   │   ├── PortInUseError           121  choose another port
│   │   ├── InsecureListenerError    122  a Ray socket is reachable from outside: refused
│   │   └── NodeNotFoundError        123  no node lives in this directory
│   ├── AddressError                 130  the address cannot be read
│   ├── UnknownPeerError             131  no such node was met before: give its address
│   ├── NotAGridNetworkError         132  what is at the address is no network: look at it
│   ├── NetworkNameConflictError     133  two networks of one name: one may be an impostor
│   ├── NetworkKeyFileError          140  the key file of a closed network cannot be used
│   └── ClockSkewError               150  two machines disagree about the time
├── NetworkError                     2xx  look at the link, perhaps try again
│   ├── TransportError               209  the link failed; ``retryable`` says whether to repeat
│   │   ├── PeerUnreachableError     201  nobody answered at the addresses
│   │   │   ├── DomainUnreachableError   202
│   │   │   └── NetworkUnreachableError  203
│   │   ├── RemoteTimeoutError       204  the deadline passed
│   │   ├── BusyError                205  the peer's queues are full: repeat later
│   │   ├── UnavailableError         206  a part of the node restarts: repeat in a moment
│   │   ├── RelayRefusedError        207  a relay carries nothing to the peer
│   │   └── ProxyRefusedError        208  the HTTP proxy on the way opened no tunnel
│   ├── RemoteProtocolError          210  the peer broke the protocol: hang up
│   ├── LocalProtocolError           211  we would break the protocol: a mistake of the caller
│   ├── DisconnectedError            212  the program itself ended it: connect again
│   ├── RegistryFullError            213  a network has no room for what a domain lists
│   ├── RecordError                  220  a DHT or registry record is not to be believed
│   │   ├── ForgedRecordError        221
│   │   ├── ExpiredRecordError       222
│   │   ├── StaleRecordError         223  older than one already known
│   │   └── OversizedRecordError     224
│   ├── IdentityMismatchError        230  the peer is not who the address says
│   ├── NetworkKeyError              231  the peer is in another closed network, or in none
│   └── TransferError                240  a large array did not arrive; what is durable counts
│       ├── DiskFullError            241  no room on the disk, with both numbers
│       └── TransferCancelledError   242  the caller stopped it
├── AccessDenied                     3xx  ask the owner
│   ├── AuthenticationError          301  the login was refused
│   ├── GetNotPermittedError         302  this user may not take this object home
│   ├── PublishNotPermittedError     303  this user may not publish here
│   ├── PermissionDeniedError        304  this user's role does not allow the call
│   ├── MoveNotPermittedError        305  the owner does not let this object go to that domain
│   ├── AccountExistsError           306  the name is taken: log in, or choose another
│   ├── SignupClosedError            307  only the owner makes accounts here
│   ├── TooManyAttemptsError         308  wait so many seconds, or log in by a key
│   ├── SetupTokenError              309  wrong, used or expired, or there is an owner
│   └── CapabilityError              310  a token does not give this right; ``reason`` says why
├── DataError                        4xx  change the data or the expression
│   ├── ShapeError (ValueError)      401
│   ├── DtypeError (TypeError)       402
│   ├── RemoteIndexError (IndexError) 403
│   ├── TooLargeError                404  over a limit, with both numbers
│   ├── DuplicateError               405  the name is taken
│   ├── SchemaError (ValueError)     406  a description of data is not valid
│   ├── ArgumentError (TypeError)    407  a call does not fit the method's signature
│   ├── ValueTypeError (TypeError)   408  a value of this type cannot cross a border
│   ├── InvalidQueryError (ValueError) 409  a search in a form that does not exist
│   ├── SchemaMismatchError (ValueError) 420  two descriptions of data differ, or data from theirs
│   ├── BoundsError (ValueError)     421  values outside the bounds of their column
│   ├── MissingValuesError (ValueError) 422  rows without a value
│   ├── SourceError (ValueError)     423  a table or a file holds what cannot be published
│   └── UnfitValuesError (ValueError) 424 a domain refuses values that do not fit their schema
├── BudgetError                      5xx  use more noise, or ask for more budget
│   └── BudgetPolicyError (ValueError) 501  the numbers of a privacy budget contradict each other
├── ComputeError                     6xx
│   ├── UnsupportedRemoteOpError     601  not an operation; names the nearest
│   ├── ObjectGoneError              602  the object does not exist (any more)
│   ├── QuotaExceededError           603  too many or too large intermediate objects
│   ├── ForeignPointerError          604  operands live in different domains
│   ├── TaskError                    610  a method raised; ``reference`` finds it in the owner's log
│   ├── ActorDiedError               611  the actor is gone for good, and its state with it
│   ├── ActorUnavailableError        612  the actor restarts: what was under way may have been done
│   ├── TaskCancelledError           613  the call was cancelled
│   ├── GetTimeoutError (TimeoutError) 614  the result did not come in the caller's time
│   ├── ActorUnschedulableError      615  the node has not the resources that were asked for
│   └── MoveFailedError              616  an object did not get to another domain
└── InternalError                    900  our mistake; ``reference`` finds it in the owner's log

Codes go over the wire, texts do not: ``p2pgrid.protocol.faults`` holds the one table of what a
remote person may read.
"""

from p2pgrid.errors.access import (
    CAPABILITY_REASONS,
    AccessDenied,
    AccountExistsError,
    AuthenticationError,
    CapabilityError,
    GetNotPermittedError,
    MoveNotPermittedError,
    PermissionDeniedError,
    PublishNotPermittedError,
    SetupTokenError,
    SignupClosedError,
    TooManyAttemptsError,
)
from p2pgrid.errors.base import InternalError, P2PGridError
from p2pgrid.errors.compute import (
    MOVE_FAILURES,
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    ComputeError,
    ForeignPointerError,
    GetTimeoutError,
    MoveFailedError,
    ObjectGoneError,
    QuotaExceededError,
    TaskCancelledError,
    TaskError,
    UnsupportedRemoteOpError,
)
from p2pgrid.errors.config import (
    AddressError,
    ClockSkewError,
    ConfigError,
    InsecureListenerError,
    MissingExtraError,
    NetworkKeyFileError,
    NetworkNameConflictError,
    NodeError,
    NodeNotFoundError,
    NoKeyError,
    NotAGridNetworkError,
    PasswordError,
    PortInUseError,
    UnknownPeerError,
    WalletConflictError,
    WalletError,
    WalletLockedError,
)
from p2pgrid.errors.data import (
    ArgumentError,
    BoundsError,
    DataError,
    DtypeError,
    DuplicateError,
    InvalidQueryError,
    MissingValuesError,
    RemoteIndexError,
    SchemaError,
    SchemaMismatchError,
    ShapeError,
    SourceError,
    TooLargeError,
    UnfitValuesError,
    ValueTypeError,
)
from p2pgrid.errors.network import (
    BusyError,
    DisconnectedError,
    DiskFullError,
    DomainUnreachableError,
    ExpiredRecordError,
    ForgedRecordError,
    IdentityMismatchError,
    LocalProtocolError,
    NetworkError,
    NetworkKeyError,
    NetworkUnreachableError,
    OversizedRecordError,
    PeerUnreachableError,
    ProxyRefusedError,
    RecordError,
    RegistryFullError,
    RelayRefusedError,
    RemoteProtocolError,
    RemoteTimeoutError,
    StaleRecordError,
    TransferCancelledError,
    TransferError,
    TransportError,
    UnavailableError,
)
from p2pgrid.errors.privacy import BudgetError, BudgetPolicyError

__all__ = [
    "CAPABILITY_REASONS",
    "MOVE_FAILURES",
    "AccessDenied",
    "AccountExistsError",
    "ActorDiedError",
    "ActorUnavailableError",
    "ActorUnschedulableError",
    "AddressError",
    "ArgumentError",
    "AuthenticationError",
    "BoundsError",
    "BudgetError",
    "BudgetPolicyError",
    "BusyError",
    "CapabilityError",
    "ClockSkewError",
    "ComputeError",
    "ConfigError",
    "DataError",
    "DisconnectedError",
    "DiskFullError",
    "DomainUnreachableError",
    "DtypeError",
    "DuplicateError",
    "ExpiredRecordError",
    "ForeignPointerError",
    "ForgedRecordError",
    "GetNotPermittedError",
    "GetTimeoutError",
    "IdentityMismatchError",
    "InsecureListenerError",
    "InternalError",
    "InvalidQueryError",
    "LocalProtocolError",
    "MissingExtraError",
    "MissingValuesError",
    "MoveFailedError",
    "MoveNotPermittedError",
    "NetworkError",
    "NetworkKeyError",
    "NetworkKeyFileError",
    "NetworkNameConflictError",
    "NetworkUnreachableError",
    "NoKeyError",
    "NodeError",
    "NodeNotFoundError",
    "NotAGridNetworkError",
    "ObjectGoneError",
    "OversizedRecordError",
    "P2PGridError",
    "PasswordError",
    "PeerUnreachableError",
    "PermissionDeniedError",
    "PortInUseError",
    "ProxyRefusedError",
    "PublishNotPermittedError",
    "QuotaExceededError",
    "RecordError",
    "RegistryFullError",
    "RelayRefusedError",
    "RemoteIndexError",
    "RemoteProtocolError",
    "RemoteTimeoutError",
    "SchemaError",
    "SchemaMismatchError",
    "SetupTokenError",
    "ShapeError",
    "SignupClosedError",
    "SourceError",
    "StaleRecordError",
    "TaskCancelledError",
    "TaskError",
    "TooLargeError",
    "TooManyAttemptsError",
    "TransferCancelledError",
    "TransferError",
    "TransportError",
    "UnavailableError",
    "UnfitValuesError",
    "UnknownPeerError",
    "UnsupportedRemoteOpError",
    "ValueTypeError",
    "WalletConflictError",
    "WalletError",
    "WalletLockedError",
]

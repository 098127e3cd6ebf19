"""Every error that p2pgrid raises, split by what the caller does next.

P2PGridError
├── ConfigError                      1xx  mend the set-up
│   ├── MissingExtraError            101  install an extra
│   ├── WalletError                  110  the wallet file cannot be used as it is
│   │   ├── WalletLockedError        111  give the passphrase
│   │   └── NoKeyError               112  make a key for this domain
│   ├── NodeError                    120  a node did not start or stop
│   │   ├── PortInUseError           121  choose another port
│   │   ├── InsecureListenerError    122  a Ray socket is reachable from outside: refused
│   │   └── NodeNotFoundError        123  no node lives in this directory
│   ├── AddressError                 130  the address cannot be read
│   └── NetworkKeyFileError          140  the key file of a closed network cannot be used
├── NetworkError                     2xx  look at the link, perhaps try again
│   ├── TransportError               209  the link failed; ``retryable`` says whether to repeat
│   │   ├── PeerUnreachableError     201  nobody answered at the addresses
│   │   │   ├── DomainUnreachableError   202
│   │   │   └── NetworkUnreachableError  203
│   │   ├── RemoteTimeoutError       204  the deadline passed
│   │   ├── BusyError                205  the peer's queues are full: repeat later
│   │   └── UnavailableError         206  a part of the node restarts: repeat in a moment
│   ├── RemoteProtocolError          210  the peer broke the protocol: hang up
│   ├── LocalProtocolError           211  we would break the protocol: a mistake of the caller
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
│   └── PermissionDeniedError        304  this user's role does not allow the call
├── DataError                        4xx  change the data or the expression
│   ├── ShapeError (ValueError)      401
│   ├── DtypeError (TypeError)       402
│   ├── RemoteIndexError (IndexError) 403
│   ├── TooLargeError                404  over a limit, with both numbers
│   ├── DuplicateError               405  the name is taken
│   ├── SchemaError (ValueError)     406  a description of data is not valid
│   ├── SchemaMismatchError (ValueError) 420  two descriptions of data differ, or data from theirs
│   ├── BoundsError (ValueError)     421  values outside the bounds of their column
│   ├── MissingValuesError (ValueError) 422  rows without a value
│   └── SourceError (ValueError)     423  a table or a file holds what cannot be published
├── BudgetError                      5xx  use more noise, or ask for more budget
│   └── BudgetPolicyError (ValueError) 501  the numbers of a privacy budget contradict each other
├── ComputeError                     6xx
│   ├── UnsupportedRemoteOpError     601  not an operation; names the nearest
│   ├── ObjectGoneError              602  the object does not exist (any more)
│   ├── QuotaExceededError           603  too many or too large intermediate objects
│   └── ForeignPointerError          604  operands live in different domains
└── InternalError                    900  our mistake; ``reference`` finds it in the owner's log

Codes go over the wire, texts do not: ``p2pgrid.protocol.faults`` holds the one table of what a
remote person may read.
"""

from typing import ClassVar

from typing_extensions import override


class P2PGridError(Exception):
    """Base of all errors of p2pgrid; ``code`` is stable across versions."""

    code: ClassVar[int] = 0

    @override
    def __reduce__(self) -> tuple[object, ...]:
        """Copies without calling ``__init__``, whose arguments differ per class."""
        return _restore, (type(self), self.args, dict(self.__dict__))


def _restore(
    cls: type[P2PGridError], args: tuple[object, ...], fields: dict[str, object]
) -> P2PGridError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(fields)
    return error


class ConfigError(P2PGridError):
    """Something on this machine has to be mended first."""

    code = 100


class MissingExtraError(ConfigError):
    """A part of p2pgrid is used that the base install leaves out."""

    code = 101

    def __init__(self, *, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs more packages: pip install 'p2pgrid[{extra}]'")
        self.extra = extra


class WalletError(ConfigError):
    """The wallet file cannot be used as it is."""

    code = 110


class WalletLockedError(WalletError):
    """The wallet is encrypted and the passphrase is missing or wrong."""

    code = 111


class NoKeyError(WalletError):
    """The wallet holds no key for a domain (and user)."""

    code = 112

    def __init__(self, *, domain: str, user: str | None) -> None:
        whose = f" of user {user!r}" if user else ""
        super().__init__(
            f"the wallet holds no key{whose} for domain {domain}; "
            "make one with wallet.new(domain, user) and send its public key to the owner"
        )
        self.domain, self.user = domain, user


class NodeError(ConfigError):
    """A node did not start, did not stop, or is not what was expected."""

    code = 120


class PortInUseError(NodeError):
    """Another process listens on the port that the node needs."""

    code = 121

    def __init__(self, *, port: int) -> None:
        super().__init__(f"port {port} is in use; stop what listens there or set another port")
        self.port = port


class InsecureListenerError(NodeError):
    """A Ray socket listens on an address that other machines can reach."""

    code = 122

    def __init__(self, *, listeners: tuple[str, ...]) -> None:
        super().__init__(
            f"{len(listeners)} Ray sockets are not on loopback ({', '.join(listeners)}); "
            "the node was stopped, because whoever reaches them can run code here"
        )
        self.listeners = listeners


class NodeNotFoundError(NodeError):
    """No node was ever made in this directory."""

    code = 123

    def __init__(self, *, directory: str) -> None:
        super().__init__(f"no node in {directory}; make one with: p2pgrid domain init NAME")
        self.directory = directory


class AddressError(ConfigError):
    """An address cannot be read."""

    code = 130

    def __init__(self, *, address: str) -> None:
        super().__init__(
            f"cannot read the address {address[:200]!r}; "
            "expected a multiaddr such as /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW..."
        )


class NetworkKeyFileError(ConfigError):
    """A file with the key of a closed network cannot be used."""

    code = 140

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(
            f"the network key file {path} cannot be used: {problem}; "
            "get it from whoever runs the network, or make one with: p2pgrid network new-key FILE"
        )
        self.path, self.problem = path, problem


class NetworkError(P2PGridError):
    """Something between the peers went wrong."""

    code = 200


class TransportError(NetworkError):
    """The link failed; ``retryable`` says whether repeating the call can help."""

    code = 209

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class PeerUnreachableError(TransportError):
    """Nobody answered at any of a peer's addresses."""

    code = 201
    what: ClassVar[str] = "peer"

    def __init__(self, *, peer: str, addresses: int, reason: str) -> None:
        super().__init__(
            f"{self.what} {peer} did not answer at its {addresses} known address(es): {reason}"
        )
        self.peer = peer


class DomainUnreachableError(PeerUnreachableError):
    """A domain did not answer."""

    code = 202
    what = "domain"


class NetworkUnreachableError(PeerUnreachableError):
    """A network (registry) did not answer."""

    code = 203
    what = "network"


class RemoteTimeoutError(TransportError):
    """No answer came before the deadline; whether the call took effect is unknown."""

    code = 204

    def __init__(self, *, peer: str, timeout_s: float) -> None:
        super().__init__(f"{peer} did not answer within {timeout_s:g} s")
        self.peer, self.timeout_s = peer, timeout_s


class BusyError(TransportError):
    """The peer's queues are full."""

    code = 205

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"the peer already works on {limit} requests or bytes; repeat later")
        self.limit = limit


class UnavailableError(TransportError):
    """A part of the node is restarting."""

    code = 206

    def __init__(self, *, domain: str) -> None:
        super().__init__(
            f"a part of {domain} is restarting; whether the call took effect is unknown, "
            "repeat it in a moment"
        )
        self.domain = domain


class RemoteProtocolError(NetworkError):
    """The peer sent what the protocol does not allow; the connection is closed."""

    code = 210


class LocalProtocolError(NetworkError):
    """The caller asked for what the protocol does not allow; nothing was sent."""

    code = 211


class RecordError(NetworkError):
    """A signed record is not to be believed."""

    code = 220


class ForgedRecordError(RecordError):
    """The signature does not fit the content or the key."""

    code = 221


class ExpiredRecordError(RecordError):
    """The record's own expiry has passed, or lies too far ahead."""

    code = 222


class StaleRecordError(RecordError):
    """A newer record of the same peer is known."""

    code = 223


class OversizedRecordError(RecordError):
    """The record is larger than the DHT carries."""

    code = 224


class IdentityMismatchError(NetworkError):
    """The peer that answered is not the one that was asked for."""

    code = 230


class NetworkKeyError(NetworkError):
    """Who answered is not in our closed network; or we have no key, and it is in one."""

    code = 231

    def __init__(self, *, peer: str, has_key: bool) -> None:
        advice = (
            "check the key file with whoever runs the network"
            if has_key
            else "if it is in a closed network, get the key file from whoever runs that"
        )
        ours = "in this network's key" if has_key else "as an open libp2p peer does"
        super().__init__(f"{peer} answered, but not {ours}; {advice}")
        self.peer, self.has_key = peer, has_key


class TransferError(NetworkError):
    """A large array did not arrive; repeating the call begins anew."""

    code = 240


class DiskFullError(TransferError):
    """No disk of the receiver has room for an array; nothing was sent."""

    code = 241

    def __init__(self, *, needed: int, free: int) -> None:
        super().__init__(
            f"{needed:,} bytes of disk are needed, but only {free:,} are free; "
            "make room where the array is to go, or send less"
        )
        self.needed, self.free = needed, free


class TransferCancelledError(TransferError):
    """The caller stopped the transfer; the other side was told."""

    code = 242

    def __init__(self, *, durable: int, size: int) -> None:
        super().__init__(f"the transfer was stopped after {durable:,} of {size:,} bytes")
        self.durable, self.size = durable, size


class AccessDenied(P2PGridError):
    """The owner has not allowed this; asking the owner is the way on."""

    code = 300


class AuthenticationError(AccessDenied):
    """The login was refused. The same text for every cause: it tells a stranger nothing."""

    code = 301

    def __init__(self, *, domain: str) -> None:
        super().__init__(
            f"{domain} refused the login; ask the owner to enrol the public key "
            "that your wallet holds for this domain, and check both clocks"
        )
        self.domain = domain


class GetNotPermittedError(AccessDenied):
    """This user may not take the values of this object home."""

    code = 302

    def __init__(self, *, object_id: str, domain: str) -> None:
        super().__init__(
            f"You do not have permission to .get() object {object_id} of domain {domain}. "
            "Ask its owner to add you to the allowed users of every dataset it derives from."
        )
        self.object_id, self.domain = object_id, domain


class PublishNotPermittedError(AccessDenied):
    """This user may not publish on this node."""

    code = 303

    def __init__(self, *, domain: str) -> None:
        super().__init__(f"only an owner of domain {domain} may publish there")
        self.domain = domain


class PermissionDeniedError(AccessDenied):
    """The role of this user does not allow the call."""

    code = 304

    def __init__(self, *, action: str, domain: str) -> None:
        super().__init__(f"{action} on {domain} needs a login with another role; ask its owner")
        self.action, self.domain = action, domain


class DataError(P2PGridError):
    """The data or the expression has to change."""

    code = 400


class ShapeError(DataError, ValueError):
    """Shapes do not fit each other; raised before anything is sent."""

    code = 401

    def __init__(self, *, operation: str, shapes: str) -> None:
        super().__init__(f"{operation}: shapes {shapes} do not fit; reshape or slice an operand")
        self.operation, self.shapes = operation, shapes


class DtypeError(DataError, TypeError):
    """A dtype is not allowed here."""

    code = 402

    def __init__(self, *, operation: str, dtypes: str) -> None:
        super().__init__(f"{operation} is not defined for dtype {dtypes}; convert an operand")
        self.operation, self.dtypes = operation, dtypes


class RemoteIndexError(DataError, IndexError):
    """An index lies outside the public shape."""

    code = 403

    def __init__(self, *, index: str, shape: str) -> None:
        super().__init__(f"index {index} is out of bounds for a remote array of shape {shape}")
        self.index, self.shape = index, shape


class TooLargeError(DataError):
    """Something is over a limit."""

    code = 404

    def __init__(self, *, what: str, size: int, limit: int) -> None:
        super().__init__(f"{what} is {size:,}, but at most {limit:,} is allowed")
        self.what, self.size, self.limit = what, size, limit


class DuplicateError(DataError):
    """The name or id is taken by something else."""

    code = 405

    def __init__(self, *, what: str, name: str) -> None:
        super().__init__(f"{what} {name!r} exists already; choose another name")
        self.what, self.name = what, name


class SchemaError(DataError, ValueError):
    """A description of data misses something or holds what it may not."""

    code = 406

    def __init__(self, *, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


class SchemaMismatchError(DataError, ValueError):
    """A table is not what its schema says, or two schemas that should be one differ."""

    code = 420

    def __init__(self, *, where: str, column: str, found: str, expected: str) -> None:
        super().__init__(
            f"{where}: {column} is {found}, but the schema says {expected}; "
            "all splits and all members have one schema: change the data, or the schema of all"
        )
        self.where, self.column, self.found, self.expected = where, column, found, expected


class BoundsError(DataError, ValueError):
    """Values lie outside the public bounds of their column; for the owner's eyes only.

    It says how many, which is private: it is raised on the owner's machine before anything is
    sent, and never crosses the wire. No value is in it.
    """

    code = 421

    def __init__(self, *, column: str, count: int, total: int, first: int, bounds: str) -> None:
        super().__init__(
            f"column {column!r}: {count:,} of {total:,} values lie outside {bounds}, the first in "
            f"row {first:,} (from 0); correct them, give bounds that public knowledge justifies, "
            "or have them clipped"
        )
        self.column, self.count, self.total, self.first = column, count, total, first
        self.bounds = bounds


class MissingValuesError(DataError, ValueError):
    """Cells without a value; for the owner's eyes only, like ``BoundsError``."""

    code = 422

    def __init__(self, *, column: str, count: int, total: int, first: int) -> None:
        super().__init__(
            f"column {column!r}: {count:,} of {total:,} cells hold no value, the first in row "
            f"{first:,} (from 0); give a public value to put there (missing = ... in a code book), "
            "or leave the column out"
        )
        self.column, self.count, self.total, self.first = column, count, total, first


class SourceError(DataError, ValueError):
    """A table or a file holds what cannot be published as it is; no cell is in the text."""

    code = 423

    def __init__(self, *, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}")
        self.source, self.problem = source, problem


class BudgetError(P2PGridError):
    """A privacy budget does not allow this."""

    code = 500


class BudgetPolicyError(BudgetError, ValueError):
    """The numbers of a privacy budget contradict each other."""

    code = 501

    def __init__(self, *, field: str, value: float, limit: str, bound: float) -> None:
        super().__init__(
            f"{field} is {value:g}, but {limit} is {bound:g}; "
            "query_auto <= daily_auto <= user_lifetime <= lifetime, and none below 0"
        )
        self.field, self.value, self.limit, self.bound = field, value, limit, bound


class ComputeError(P2PGridError):
    """A remote computation cannot be done."""

    code = 600


class UnsupportedRemoteOpError(ComputeError):
    """No such remote operation; nothing was downloaded instead."""

    code = 601

    def __init__(self, *, operation: str, nearest: str) -> None:
        super().__init__(f"{operation} is not a remote operation; the nearest one is {nearest}")
        self.operation, self.nearest = operation, nearest


class ObjectGoneError(ComputeError):
    """The object does not exist for this session: freed, consumed, or lost in a restart."""

    code = 602

    def __init__(self, *, object_id: str, domain: str) -> None:
        super().__init__(
            f"object {object_id} does not exist on {domain} (any more); compute it again"
        )
        self.object_id, self.domain = object_id, domain


class QuotaExceededError(ComputeError):
    """A session holds too many objects, or too many bytes of them."""

    code = 603

    def __init__(self, *, what: str, needed: int, limit: int) -> None:
        super().__init__(
            f"this session would hold {needed:,} {what}, but {limit:,} is the limit; "
            "delete pointers that you no longer need"
        )
        self.what, self.needed, self.limit = what, needed, limit


class ForeignPointerError(ComputeError):
    """Operands of one operation live in different domains."""

    code = 604

    def __init__(self, *, left: str, right: str) -> None:
        super().__init__(f"one operand lives on {left}, another on {right}; use one domain")
        self.left, self.right = left, right


class InternalError(P2PGridError):
    """A mistake on the other side; the owner finds ``reference`` in the log."""

    code = 900

    def __init__(self, *, reference: str) -> None:
        super().__init__(
            f"the node failed on its own mistake; tell its owner the reference {reference}"
        )
        self.reference = reference

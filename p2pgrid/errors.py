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
│   ├── UnknownPeerError             131  no such node was met before: give its address
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


class UnknownPeerError(ConfigError):
    """A node was named that this person has not met."""

    code = 131

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"no node {name[:200]!r} was met from here; give its address, "
            "such as /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW..."
        )
        self.name = name


class ClockSkewError(ConfigError):
    """The clock of a node and ours differ by more than logins bear."""

    code = 150

    def __init__(self, *, peer: str, ahead_s: float, limit_s: float) -> None:
        super().__init__(
            f"the clock of {peer} is {ahead_s:+,.0f} s from ours, but logins bear {limit_s:g} s; "
            "set both clocks by a time service (NTP)"
        )
        self.peer, self.ahead_s, self.limit_s = peer, ahead_s, limit_s


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


class RelayRefusedError(TransportError):
    """A relay carries nothing to a peer, or nothing more."""

    code = 207

    def __init__(self, *, relay: str, peer: str, reason: str) -> None:
        super().__init__(f"the relay at {relay} refused a pipe to {peer}: {reason}")
        self.relay, self.peer, self.reason = relay, peer, reason


class ProxyRefusedError(TransportError):
    """The HTTP proxy on the way opened no tunnel."""

    code = 208

    def __init__(self, *, proxy: str, target: str, answer: str) -> None:
        super().__init__(
            f"the proxy {proxy} opened no tunnel to {target}: {answer}; "
            "ask who runs it to allow that port, or use an address with a port that it allows"
        )
        self.proxy, self.target, self.answer = proxy, target, answer


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


class MoveNotPermittedError(AccessDenied):
    """No owner of the data, and no token, lets this object go to that domain."""

    code = 305

    def __init__(self, *, object_id: str, domain: str, to: str) -> None:
        super().__init__(
            f"object {object_id} may not move from {domain} to {to}; ask the owner of {domain} "
            "to publish its data with allowed_domains, or for a capability to move it"
        )
        self.object_id, self.domain, self.to = object_id, domain, to


CAPABILITY_REASONS = {
    "malformed": "it is damaged or cut short; ask for it again",
    "oversized": "it is too long; ask somebody nearer to its beginning for one",
    "forged": "a signature does not fit; ask for it again, from somebody whom you know",
    "widened": "a link gives more than the one before; ask the domain's owner for the right",
    "another domain": "it was made for another domain; show it there",
    "expired": "its time is over; ask for a new one",
    "revoked": "it was taken back; ask whoever gave it to you",
    "audience": "it was given to another key; ask for one that names your key",
    "account": "the account that it draws on has no rights any more; ask the domain's owner",
    "scope": "it does not name this object, operation or destination; ask for one that does",
}
"""Why a capability is refused, and what its holder can do."""


class CapabilityError(AccessDenied):
    """A capability does not give the right; ``reason`` is a key of ``CAPABILITY_REASONS``."""

    code = 310

    def __init__(self, *, reason: str, domain: str) -> None:
        advice = CAPABILITY_REASONS.get(reason, "ask whoever gave it to you")
        super().__init__(f"the capability for {domain} is refused ({reason}): {advice}")
        self.reason, self.domain = reason, domain


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


class ArgumentError(DataError, TypeError):
    """A call does not fit the method's signature; names and types are told, never values."""

    code = 407

    def __init__(self, *, call: str, problem: str) -> None:
        super().__init__(f"{call} {problem}")
        self.call, self.problem = call, problem


class ValueTypeError(DataError, TypeError):
    """A value of this type cannot cross a border, because it could only be pickled."""

    code = 408

    def __init__(self, *, kind: str) -> None:
        super().__init__(
            f"a {kind} cannot travel; use None, numbers, text, bytes, arrays, pointers, "
            "and lists, tuples or dicts of them"
        )
        self.kind = kind


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


class TaskError(ComputeError):
    """A method of an actor raised; what it said stays with the owner."""

    code = 610

    def __init__(self, *, call: str, reference: str) -> None:
        super().__init__(f"{call} raised an error; ask the owner for the log entry {reference}")
        self.call, self.reference = call, reference


class ActorDiedError(ComputeError):
    """The actor is gone for good, and its state with it."""

    code = 611

    def __init__(self, *, actor: str, reason: str) -> None:
        super().__init__(f"actor {actor} died: {reason}; make another one")
        self.actor, self.reason = actor, reason


class ActorUnavailableError(ComputeError):
    """The actor restarts; a call that was under way may or may not have been done."""

    code = 612

    def __init__(self, *, actor: str) -> None:
        super().__init__(
            f"actor {actor} restarts; this call may or may not have been done, and its state is "
            "new: call again if that is harmless"
        )
        self.actor = actor


class TaskCancelledError(ComputeError):
    """The call was cancelled before it had a result."""

    code = 613

    def __init__(self, *, call: str) -> None:
        super().__init__(f"{call} was cancelled")
        self.call = call


class GetTimeoutError(ComputeError, TimeoutError):
    """A result did not come in the time that the caller gave it; it may still come."""

    code = 614

    def __init__(self, *, waiting: int, timeout_s: float) -> None:
        super().__init__(
            f"{waiting} results did not come within {timeout_s:g} s; they may still come, "
            "wait longer or cancel them"
        )
        self.waiting, self.timeout_s = waiting, timeout_s


class ActorUnschedulableError(ComputeError):
    """The node has not the resources that an actor asks for, even when nothing else runs."""

    code = 615

    def __init__(self, *, resource: str, asked: float, available: float) -> None:
        super().__init__(
            f"the actor asks for {asked:g} {resource}, the domain has {available:g}; ask for less"
        )
        self.resource, self.asked, self.available = resource, asked, available


MOVE_FAILURES = {
    "unreachable": "nobody at its addresses proved to be that domain; see whether it runs",
    "interrupted": "the way between the two domains broke; call again",
    "unanswered": "the domain that has the object did not say; call again when it runs",
}
"""Why an object did not get to another domain, and what to do."""


class MoveFailedError(ComputeError):
    """An object did not get to another domain; ``reason`` is a key of ``MOVE_FAILURES``."""

    code = 616

    def __init__(self, *, object_id: str, domain: str, to: str, reason: str) -> None:
        advice = MOVE_FAILURES.get(reason, "call again")
        super().__init__(
            f"object {object_id} did not get from {domain} to {to} ({reason}): {advice}"
        )
        self.object_id, self.domain, self.to, self.reason = object_id, domain, to, reason


class InternalError(P2PGridError):
    """A mistake on the other side; the owner finds ``reference`` in the log."""

    code = 900

    def __init__(self, *, reference: str) -> None:
        super().__init__(
            f"the node failed on its own mistake; tell its owner the reference {reference}"
        )
        self.reference = reference

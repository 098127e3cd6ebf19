"""Links, records and transfers: look at the link, perhaps try again."""

from typing import ClassVar

from p2pgrid.errors.base import P2PGridError


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
        self.peer, self.addresses, self.reason = peer, addresses, reason


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


class DisconnectedError(NetworkError):
    """The program itself has disconnected from this network."""

    code = 212

    def __init__(self, *, network: str) -> None:
        super().__init__(
            f"this program has disconnected from {network}; connect again to go on with it"
        )
        self.network = network


class RegistryFullError(NetworkError):
    """A network has no room for what a domain lists; what it lists already stays listed."""

    code = 213

    def __init__(self, *, what: str, needed: int, limit: int) -> None:
        super().__init__(
            f"the network has room for {limit:,} {what}, not for {needed:,}; "
            "list fewer datasets, shorter descriptions, or at another network"
        )
        self.what, self.needed, self.limit = what, needed, limit


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

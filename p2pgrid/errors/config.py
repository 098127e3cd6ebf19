"""Set-up: something on this machine has to be mended first."""

from p2pgrid.errors.base import P2PGridError


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


class WalletConflictError(WalletError):
    """A file of keys and the wallet have different keys for the same place."""

    code = 113

    def __init__(self, *, conflicts: int, keys: int, first: str) -> None:
        super().__init__(
            f"{conflicts} of {keys} keys are for domains (the first: {first}) for which the wallet "
            "has other keys; nothing was imported. Keep yours with conflicts='keep', or take "
            "theirs with conflicts='replace'"
        )
        self.conflicts, self.keys, self.first = conflicts, keys, first


class PasswordError(ConfigError, ValueError):
    """A new password, or the name for it, is not fit for an account."""

    code = 114

    def __init__(self, *, problem: str) -> None:
        super().__init__(f"{problem}; nothing was sent to the domain")
        self.problem = problem


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
            "expected a multiaddr such as /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW..., "
            "a URL such as https://grid.example.org, or p2pgrid://12D3KooW..."
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


class NotAGridNetworkError(ConfigError):
    """What is at an address is no network of p2pgrid."""

    code = 132

    def __init__(self, *, address: str, problem: str) -> None:
        super().__init__(f"there is no p2pgrid network at {address[:200]}: {problem}")
        self.address, self.problem = address, problem


class NetworkNameConflictError(ConfigError):
    """Another network of the same name is known here."""

    code = 133

    def __init__(self, *, name: str, known: str, new: str) -> None:
        super().__init__(
            f"a network called {name!r} is known here already, as {known}, and this one is {new}: "
            "ask whoever runs it which is right; if it is the new one, forget the other with: "
            f"p2pgrid networks forget {known}"
        )
        self.name, self.known, self.new = name, known, new


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

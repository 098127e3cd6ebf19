"""Settings with their defaults; built at the edge (CLI, ``Client``) and passed down.

``$P2PGRID_HOME`` (default ``~/.p2pgrid``) is the only environment variable read here.
"""

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


def default_home() -> Path:
    """Where a person's wallet, known peers and nodes live."""
    return Path(os.environ.get("P2PGRID_HOME") or Path.home() / ".p2pgrid")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one peer may ask of another; bytes unless the name says otherwise."""

    frame: int = 64 * MIB
    """One message with its arrays, once logged in."""
    guest_frame: int = MIB
    """The same before the login: a stranger may not make us allocate more."""
    queue: int = 64 * MIB
    """Bytes waiting to be written to one peer."""
    requests: int = 64
    """Unanswered requests of one peer."""
    inline: int = MIB // 2
    """An array of more travels by the bulk plane. Measured on a busy machine with two cores, get by
    the bulk port and in a message: 9 and 6 ms for 64 KiB, 18 and 19 for 512 KiB, 22 and 92 for
    2 MiB, 58 and 422 for 8 MiB."""
    transfer: int = 1 << 40
    """One array on the bulk plane."""
    transfers: int = 32
    """Unfinished transfers of all peers."""
    peer_transfers: int = 4
    """Unfinished transfers of one peer."""
    strangers: int = 32
    """Connections to the bulk port that have shown no token yet."""
    disk_spare: int = 64 * MIB
    """Bytes of the disk that no array may take: the node's own records need them."""
    places: int = 256
    """Domains that a relay serves at once."""
    pipes: int = 1000
    """Pairs of connections that a relay joins; each takes two descriptors."""
    peer_pipes: int = 128
    """The same of one domain, and of one address that dials."""
    session_objects: int = 100_000
    session_bytes: int = 1024 * MIB
    """Of one session, and of all those of one account that wait for it to come back; objects count
    once more for what its calls return, bytes together."""
    actors: int = 256
    session_actors: int = 64
    """Exported actors that live: of all sessions, and of one."""
    waiting_sessions: int = 128
    waiting_per_owner: int = 8
    """Sessions of one peer, and of one account, that wait for it to come back."""
    search_pages: int = 8
    """Answers that one network, or one domain, may give to one search, each of at most 1 MiB. A
    megabyte holds about a thousand records, and half a second of checking."""

    @property
    def inline_array(self) -> int:
        """Bytes of the largest array that travels inside a message."""
        return min(self.inline, self.frame // 2)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; the defaults find a frozen peer within 10 s."""

    dial_s: float = 10.0
    request_s: float = 30.0
    ping_every_s: float = 2.0
    silent_after_s: float = 8.0
    dht_s: float = 10.0
    search_s: float = 10.0
    """How long a search waits for the slowest of the networks that it asks."""
    lease_s: float = 60.0
    """How long a session waits for its peer after the link has ended."""
    sweep_s: float = 1.0
    """How long objects that nobody needs may wait for operations to travel with."""
    connect_s: float = 3.0
    """To reach a bulk port; firewalls that swallow packets cost this much, once per link."""
    hello_s: float = 5.0
    """For the handshake and the token of a bulk connection."""
    ticket_s: float = 15.0
    """How long a token is good."""
    stall_s: float = 10.0
    """A bulk connection that moves less than 64 KiB in this time is given up."""
    patience_s: float = 20.0
    """How long a transfer that makes no progress is tried again."""
    transfer_idle_s: float = 600.0
    """An interrupted transfer that nobody resumes is removed after this time."""
    move_s: float = 3600.0
    """How long an object may take to another domain, from when somebody asks for it."""
    pipe_idle_s: float = 900.0
    """A pipe through a relay on which nothing moves for this long is closed."""
    orphan_s: float = 3600.0
    """A file that no dataset names is removed when it is older, at the start of a domain."""


DEFAULT_LIMITS = Limits()
DEFAULT_TIMING = Timing()

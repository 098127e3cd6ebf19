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
    session_objects: int = 100_000
    session_bytes: int = 1024 * MIB
    """Of one session, and of all those of one account that wait for it to come back."""
    waiting_sessions: int = 128
    waiting_per_owner: int = 8
    """Sessions of one peer, and of one account, that wait for it to come back."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; the defaults find a frozen peer within 10 s."""

    dial_s: float = 10.0
    request_s: float = 30.0
    ping_every_s: float = 2.0
    silent_after_s: float = 8.0
    dht_s: float = 10.0
    lease_s: float = 60.0
    """How long a session waits for its peer after the link has ended."""
    sweep_s: float = 1.0
    """How long objects that nobody needs may wait for operations to travel with."""


DEFAULT_LIMITS = Limits()
DEFAULT_TIMING = Timing()

"""Plain counters of what went over the wire; whoever shows metrics reads them."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Bytes of one plane (control or bulk) of one peer, since it started."""

    received: int = 0
    sent: int = 0

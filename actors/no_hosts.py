"""Where no actors can be made: for a domain that exports no classes."""

import socket

from p2pgrid.errors import ActorDiedError, ActorUnschedulableError
from p2pgrid.ids import ObjectId, short
from p2pgrid.protocol.messages import ActorOptions


class NoHosts:
    """``HostsPort`` without any process."""

    async def start(self, actor: ObjectId, cls: str, options: ActorOptions) -> None:
        """See ``HostsPort``."""
        del actor, cls, options
        raise ActorUnschedulableError(resource="processes", asked=1, available=0)

    async def connect(self, actor: ObjectId) -> socket.socket:
        """See ``HostsPort``."""
        raise ActorDiedError(actor=short(actor), reason="it was never started")

    async def kill(self, actor: ObjectId) -> None:
        """See ``HostsPort``."""

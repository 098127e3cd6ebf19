"""Actors of exported classes in this process: a thread for each, over a pair of sockets.

For tests and for the nodes of a pack. Nothing ends a thread that runs: an actor that is killed
while it works goes on until its method returns, unheard.
"""

import socket
from collections.abc import Mapping
from math import inf

from actors.exports import Exports
from actors.hosted import Hosted, HostThread
from p2pgrid.config import DEFAULT_LIMITS, Limits
from p2pgrid.errors import ActorDiedError
from p2pgrid.ids import ObjectId, short
from p2pgrid.policy.calls import require_feasible
from p2pgrid.protocol.messages import ActorOptions

ANYTHING = dict.fromkeys(("CPU", "GPU", "memory"), inf)


class LocalHosts:
    """``HostsPort`` in this process; ``machine`` is what it is said to have, in Ray's words."""

    def __init__(
        self,
        exports: Exports,
        *,
        machine: Mapping[str, float] = ANYTHING,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._exports, self._machine, self._limits = exports, machine, limits
        self._classes: dict[ObjectId, str] = {}
        self._lives: dict[ObjectId, float] = {}
        self._threads: dict[ObjectId, HostThread] = {}

    async def start(self, actor: ObjectId, cls: str, options: ActorOptions) -> None:
        """See ``HostsPort``."""
        require_feasible(options, [self._machine])
        self._classes[actor] = cls
        self._lives[actor] = inf if options.max_restarts < 0 else 1 + options.max_restarts

    async def connect(self, actor: ObjectId) -> socket.socket:
        """See ``HostsPort``."""
        cls = self._classes[actor]
        if self._lives[actor] <= 0:
            reason = "its process ended, and it has no restarts left"
            raise ActorDiedError(actor=f"{cls} {short(actor)}", reason=reason)
        self._lives[actor] -= 1
        ours, theirs = socket.socketpair()
        hosted = Hosted(
            cls, lambda: self._exports.load_class(cls), result_limit=self._limits.frame // 2
        )
        self._threads[actor] = HostThread(theirs, hosted)
        ours.setblocking(False)
        return ours

    async def kill(self, actor: ObjectId) -> None:
        """See ``HostsPort``; the gateway has hung up, and that ends the thread."""
        self._classes.pop(actor, None)
        self._lives.pop(actor, None)
        self._threads.pop(actor, None)

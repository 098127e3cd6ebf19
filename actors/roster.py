"""The actors of a domain that live: whose they are, which have names, and how many there may be."""

import asyncio

from actors.live_actor import LiveActor
from actors.ports import HostsPort
from p2pgrid.config import Limits
from p2pgrid.errors import DuplicateError, QuotaExceededError
from p2pgrid.policy.objects import PREFIX_BYTES


class Roster:
    """All actors; those with names are shared by sessions, and outlive the one that made them."""

    def __init__(self, hosts: HostsPort, *, limits: Limits) -> None:
        self._hosts, self._limits = hosts, limits
        self._living: set[LiveActor] = set()
        self._named: dict[str, LiveActor] = {}
        self._shared: dict[bytes, LiveActor] = {}
        """Actors with names, and the last of those that had one and died."""
        self._endings: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._living)

    def check(self, prefix: bytes, name: str) -> None:
        """Checks that a session may make one more, with a name if it is not empty.

        Raises:
            DuplicateError: an actor that lives has this name.
            QuotaExceededError: there are too many, of the session or in all.
        """
        if name in self._named:
            raise DuplicateError(what="actor", name=name)
        for count, limit in (
            (len(self.of_session(prefix)), self._limits.session_actors),
            (len(self._living), self._limits.actors),
        ):
            if count >= limit:
                raise QuotaExceededError(what="actors", needed=count + 1, limit=limit)

    def add(self, actor: LiveActor) -> None:
        """Notes an actor until it dies; ``died`` is its ``on_death``."""
        self._living.add(actor)
        if actor.options.name:
            self._named[actor.options.name] = self._shared[actor.object_id] = actor
            self._forget_dead()

    def died(self, actor: LiveActor) -> None:
        """Frees the actor's name, and ends its process."""
        self._living.discard(actor)
        self._named.pop(actor.options.name, None)
        ending = asyncio.get_running_loop().create_task(self._hosts.kill(actor.object_id))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def named(self, name: str) -> LiveActor | None:
        """The living actor of this name."""
        return self._named.get(name)

    def shared(self, object_id: bytes) -> LiveActor | None:
        """An actor that has, or had, a name."""
        return self._shared.get(object_id)

    def of_session(self, prefix: bytes) -> list[LiveActor]:
        """Those that a session made, also when their handle was freed."""
        return [actor for actor in self._living if actor.object_id[:PREFIX_BYTES] == prefix]

    def end_session(self, prefix: bytes) -> None:
        """Ends the actors of a session, except those with names."""
        for actor in self.of_session(prefix):
            if not actor.options.name:
                actor.kill("its session ended")

    async def close(self) -> None:
        """Ends all actors, and returns when their processes have been told."""
        for actor in tuple(self._living):
            actor.kill("the node stops")
        await asyncio.gather(*self._endings)

    def _forget_dead(self) -> None:
        dead = [object_id for object_id, actor in self._shared.items() if actor.is_dead]
        for object_id in dead[: max(0, len(self._shared) - self._limits.actors)]:
            del self._shared[object_id]

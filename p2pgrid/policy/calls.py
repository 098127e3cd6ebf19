"""Who may make and call actors, and who may read what their methods return.

An owner's class says which accounts may use it, and may narrow that per method. An actor gathers
*sources*: the datasets whose values were ever given to it. A result carries the sources that its
actor had when the call began, because the actor may have kept what it was given. So does whatever
else tells how the call ended.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from p2pgrid.errors import (
    ActorUnschedulableError,
    GetNotPermittedError,
    PermissionDeniedError,
    SchemaError,
)
from p2pgrid.ids import short
from p2pgrid.policy.access import Allowed, Sources, may_get
from p2pgrid.protocol.messages import Account, ActorOptions
from p2pgrid.protocol.signatures import ActorClassInfo

Names = tuple[str, ...]


class MethodRights(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Who may call a method; None: everybody who may use its class."""

    allowed: Names | None = None
    releases: bool = False
    """True when its result may be read by whoever may call it, whatever the actor has seen."""


class ExportedClass(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A class that an owner exported, and who may use it; None: every account."""

    info: ActorClassInfo
    allowed: Names | None
    methods: dict[str, MethodRights]


class Callee(NamedTuple):
    """What is called: a method of an exported class, or the class itself, to make an actor."""

    cls: ExportedClass
    method: str = ""

    @property
    def name(self) -> str:
        """For people: ``Counter.incr``."""
        return f"{self.cls.info.name}.{self.method}" if self.method else self.cls.info.name

    @property
    def releases(self) -> bool:
        """True when its result is no secret, whatever the actor has seen."""
        rights = self.cls.methods.get(self.method)
        return rights is not None and rights.releases


class Gathered:
    """The sources of one actor; they only grow."""

    def __init__(self) -> None:
        self.sources: Sources = frozenset()

    def give(self, sources: Sources) -> Sources:
        """Notes what a call brings, when it begins; the sources of what the call returns."""
        if not sources <= self.sources:
            self.sources |= sources
        return self.sources


def may_call(account: Account, callee: Callee) -> bool:
    """True when the class, and then the method, allows this account; owners always may."""
    if account.role == "owner":
        return True
    cls, method = callee
    if cls.allowed is not None and account.name not in cls.allowed:
        return False
    if not method:
        return True
    rights = cls.methods.get(method)
    return rights is not None and (rights.allowed is None or account.name in rights.allowed)


def require_call(account: Account, callee: Callee, *, domain: str) -> None:
    """Refuses what ``may_call`` does not allow.

    Raises:
        PermissionDeniedError: with the name of the method or class.
    """
    if not may_call(account, callee):
        raise PermissionDeniedError(action=f"calling {callee.name}", domain=domain)


def may_read(account: Account, callee: Callee, sources: Sources, allowed: Allowed) -> bool:
    """True when this account may know how a call of ``callee`` ended, and its result."""
    if not may_call(account, callee):
        return False
    return not sources or callee.releases or may_get(account, sources, allowed)


def require_read(
    account: Account,
    object_id: bytes,
    callee: Callee,
    sources: Sources,
    allowed: Allowed,
    *,
    domain: str,
) -> None:
    """Refuses what ``may_read`` does not allow.

    Raises:
        GetNotPermittedError: with the object and the domain, and nothing about how it ended.
    """
    if not may_read(account, callee, sources, allowed):
        raise GetNotPermittedError(object_id=short(object_id), domain=domain)


def require_feasible(options: ActorOptions, machines: Sequence[Mapping[str, float]]) -> None:
    """Refuses an actor that no machine of the domain could ever hold.

    ``machines`` are all resources of each, in Ray's words and units.

    Raises:
        SchemaError: part of a resource above one, which Ray does not give.
        ActorUnschedulableError: with the first resource of which no machine has enough; or the
            first at all, when each is there, but on different machines.
    """
    needs = {"CPU": options.num_cpus, "GPU": options.num_gpus, "memory": float(options.memory)}
    asked = {name: amount for name, amount in needs.items() if amount}
    for name, amount in asked.items():
        if amount > 1 and amount % 1:
            problem = f"is {amount:g}; above 1 only whole numbers can be"
            raise SchemaError(field=name, problem=problem)
    if any(all(it.get(name, 0.0) >= n for name, n in asked.items()) for it in machines):
        return
    most = {name: max((it.get(name, 0.0) for it in machines), default=0.0) for name in asked}
    short_of = next((name for name, n in asked.items() if most[name] < n), next(iter(asked), "CPU"))
    raise ActorUnschedulableError(
        resource=short_of, asked=asked.get(short_of, 0.0), available=most.get(short_of, 0.0)
    )

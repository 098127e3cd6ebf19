"""Exported actors, as a domain answers for them: make, call, cancel, kill, find.

What a scientist says is checked against the signatures that the owner exported, and against the
rights in ``policy/calls``; ``live_actor`` carries it out, ``taking`` gives results away. The actors
of a session end with it; one that an owner has named lives until somebody kills it or the
gateway's process ends, because what it was given is known only here.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from actors.gateway import Answer, Handler, LinkSession, require_account, require_objects
from actors.inputs import Inputs
from actors.live_actor import LiveActor
from actors.pending import PendingCall
from actors.ports import AuditEvent, HostsPort, StatePort, StorePort
from actors.results import Result, Results
from actors.roster import Roster
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits
from p2pgrid.errors import (
    ArgumentError,
    CapabilityError,
    ObjectGoneError,
    P2PGridError,
    PermissionDeniedError,
)
from p2pgrid.ids import ObjectId, short
from p2pgrid.policy.access import require_owner
from p2pgrid.policy.calls import Callee, ExportedClass, may_call, require_call
from p2pgrid.policy.objects import PREFIX_BYTES, SessionObjects
from p2pgrid.protocol import faults
from p2pgrid.protocol.messages import (
    MAX_CLASSES,
    Account,
    ActorFound,
    Call,
    CancelCall,
    Classes,
    Done,
    FailedOp,
    FindActor,
    Invoke,
    Invoked,
    KillActor,
    ListClasses,
    Make,
    Message,
    Operate,
)
from p2pgrid.protocol.signatures import Parameters, check_arguments
from p2pgrid.protocol.values import references_in

Buffers = Sequence[memoryview]
ClassesByName = Callable[[], Mapping[str, ExportedClass]]
"""What the owner exports at this moment."""

MAKE, KILL = "make", "kill"
"""Operations on actors, beside ``call:METHOD``, that a capability gives."""
ANYTHING = b""
"""Within a capability only when it is for all objects: classes are no objects of a session."""

_encoder = msgspec.msgpack.Encoder()


class Held:
    """The actors and results of one session."""

    def __init__(self, objects: SessionObjects, limits: Limits) -> None:
        self.results = Results(objects, limits=limits)
        self.actors: dict[bytes, LiveActor] = {}

    def free(self, object_ids: Sequence[bytes]) -> tuple[bytes, ...]:
        """Forgets results and actors; those of the names that are neither."""
        others = []
        for object_id in object_ids:
            actor = self.actors.pop(object_id, None)
            if actor is not None and not actor.options.name:
                actor.retire()
            if not self.results.free(object_id):
                others.append(object_id)
        return tuple(others)


class Caller(NamedTuple):
    """Who calls: an account, and what its session holds."""

    account: Account
    who: str
    """The account, or whoever acts for it, for the audit."""
    objects: SessionObjects
    held: Held


class Calls:
    """The requests about actors; all methods run on the gateway's loop."""

    def __init__(
        self,
        *,
        domain: str,
        state: StatePort,
        store: StorePort,
        hosts: HostsPort,
        classes: ClassesByName,
        limits: Limits = DEFAULT_LIMITS,
        move_s: float = DEFAULT_TIMING.move_s,
    ) -> None:
        self._domain, self._state, self._store = domain, state, store
        self._hosts, self._classes, self._limits = hosts, classes, limits
        self._inputs = Inputs(store, limits=limits, domain=domain, move_s=move_s)
        self._held: dict[bytes, Held] = {}
        self.roster = Roster(hosts, limits=limits)
        self.handlers: Mapping[type[Message], Handler] = MappingProxyType(
            {
                ListClasses: self._list_classes,
                Invoke: self._invoke,
                CancelCall: self._cancel,
                KillActor: self._kill,
                FindActor: self._find,
            }
        )

    def open(self, objects: SessionObjects) -> None:
        """Makes room for a session; twice is as once."""
        self._held.setdefault(objects.prefix, Held(objects, self._limits))

    def results_of(self, prefix: bytes) -> Results | None:
        """The results of a session; None when it has ended."""
        held = self._held.get(prefix)
        return None if held is None else held.results

    def cancel_all(self, prefix: bytes) -> None:
        """Begins none of a session's calls that wait; what those return that run is thrown away."""
        if (results := self.results_of(prefix)) is not None:
            results.cancel_all()

    def free(self, prefix: bytes, object_ids: Sequence[bytes]) -> tuple[bytes, ...]:
        """Forgets results and actors of a session; those of the names that are neither."""
        return self._held[prefix].free(object_ids)

    async def drop(self, prefix: bytes) -> None:
        """Forgets a session, its calls and its actors, except those with names."""
        self.cancel_all(prefix)
        self._held.pop(prefix, None)
        self.roster.end_session(prefix)

    async def close(self) -> None:
        """Ends all actors, at the end of the node."""
        await self.roster.close()
        await self._inputs.close()

    def caller(self, session: LinkSession, name: str, *, action: str) -> Caller:
        """Who asks on a link, by the right of an account that logged in there."""
        objects = require_objects(session)
        account = require_account(session, name, action=action, domain=self._domain)
        who = session.acting(account)
        return Caller(account, who, objects, self._held[objects.prefix])

    async def _list_classes(self, session: LinkSession, _: ListClasses, __: object) -> Answer:
        account = require_account(session, "", action="listing classes", domain=self._domain)
        classes = [it.info for it in self._classes().values() if may_call(account, Callee(it))]
        return Answer(Classes(tuple(classes[:MAX_CLASSES])))

    async def _find(self, session: LinkSession, message: FindActor, _: object) -> Answer:
        account = require_account(session, "", action="finding actors", domain=self._domain)
        actor = self.roster.named(message.name)
        if actor is None or not may_call(account, Callee(actor.cls)):
            raise ObjectGoneError(object_id=f"actor {message.name!r}", domain=self._domain)
        return Answer(ActorFound(actor.object_id, actor.cls.info))

    async def _invoke(self, session: LinkSession, message: Invoke, buffers: Buffers) -> Answer:
        caller = self.caller(session, "", action="calling actors")
        events: dict[AuditEvent, None] = {}
        failed = [
            failure
            for asked in message.calls
            if (failure := self._admit(caller, asked, buffers, events)) is not None
        ]
        if message.free:
            await self._inputs.settled()
            await self._free(caller, message.free)
        for event in events:
            await self._state.audit(event)
        return Answer(Invoked(tuple(failed)))

    def _admit(
        self, caller: Caller, asked: Make | Call, buffers: Buffers, events: dict[AuditEvent, None]
    ) -> FailedOp | None:
        """Starts a call; why not, when it is refused: then its result has failed, too."""
        caller.objects.take_name(asked.out)
        result = Result()
        try:
            caller.held.results.open(asked.out, result)
            if isinstance(asked, Make):
                self._make(caller, asked, buffers, result)
                events[_event(caller, "make", f"{asked.cls} {short(asked.out)}", "done")] = None
            else:
                self._call(caller, asked, buffers, result)
        except P2PGridError as error:
            if not faults.is_public(error):
                raise
            if isinstance(error, PermissionDeniedError):
                events[_event(caller, "call", error.action, "refused")] = None
            elif isinstance(error, CapabilityError):
                events[_event(caller, "call", _named(asked), "refused")] = None
            failure = faults.failure_of(error)
            result.fail(failure)
            return FailedOp(asked.out, failure)
        return None

    def _make(self, caller: Caller, asked: Make, buffers: Buffers, result: Result) -> None:
        caller.objects.require(ANYTHING, MAKE)
        cls = self._classes().get(asked.cls)
        if cls is None:
            raise ArgumentError(call=asked.cls, problem=f"is no class that {self._domain} exports")
        callee, name = Callee(cls), asked.options.name
        require_call(caller.account, callee, domain=self._domain)
        if name:
            require_owner(caller.account, action="naming an actor", domain=self._domain)
        self.roster.check(caller.objects.prefix, name)
        call = self._pending(caller, callee, cls.info.parameters, asked, buffers, result=result)
        actor = LiveActor(
            ObjectId(asked.out),
            cls,
            asked.options,
            hosts=self._hosts,
            limits=self._limits,
            on_death=self.roster.died,
        )
        caller.held.actors[asked.out] = actor
        self.roster.add(actor)
        actor.make(call)

    def _call(self, caller: Caller, asked: Call, buffers: Buffers, result: Result) -> None:
        _require_rights(caller.objects, asked)
        actor = self._actor(caller, asked.actor)
        callee = Callee(actor.cls, asked.method)
        method = actor.cls.info.method(asked.method)
        if method is None:
            raise ArgumentError(call=callee.name, problem="is no method that may be called")
        require_call(caller.account, callee, domain=self._domain)
        call = self._pending(caller, callee, method.parameters, asked, buffers, result=result)
        result.cancel = partial(self._cancel_call, caller, actor, call)
        if asked.timeout_s is not None:
            call.expire_after(asked.timeout_s, actor.forget)
        actor.submit(caller.objects.prefix, call)

    def _pending(
        self,
        caller: Caller,
        callee: Callee,
        parameters: Parameters,
        asked: Make | Call,
        buffers: Buffers,
        *,
        result: Result,
    ) -> PendingCall:
        result.callee = callee
        check_arguments(parameters, asked.args, asked.kwargs, call=callee.name)
        call = PendingCall(
            callee,
            parameters,
            asked.args,
            asked.kwargs,
            result=result,
            results=caller.held.results,
        )
        self._inputs.give(call, caller.objects, partial(self._is_actor, caller), buffers)
        return call

    def _is_actor(self, caller: Caller, object_id: bytes) -> bool:
        return self._found(caller, object_id) is not None

    def _actor(self, caller: Caller, object_id: bytes) -> LiveActor:
        """An actor of the caller's session, or one that has or had a name."""
        actor = self._found(caller, object_id)
        if actor is None:
            raise ObjectGoneError(object_id=f"actor {short(object_id)}", domain=self._domain)
        return actor

    def _found(self, caller: Caller, object_id: bytes) -> LiveActor | None:
        """An actor of the caller's session, one lent to it, or one that has or had a name."""
        home = caller.objects.home_of(object_id)
        held = caller.held if home is None else self._held[home.prefix]
        return held.actors.get(object_id) or self.roster.shared(object_id)

    async def _cancel(self, session: LinkSession, message: CancelCall, _: object) -> Answer:
        caller = self.caller(session, "", action="cancelling calls")
        result = caller.held.results.get(message.object_id)
        if result is not None and result.cancel is not None:
            result.cancel(force=message.force)
        return Answer(Done())

    def _cancel_call(
        self, caller: Caller, actor: LiveActor, call: PendingCall, *, force: bool
    ) -> None:
        if force:
            self._require_kill(caller, actor)
        actor.cancel(call, force=force)

    async def _kill(self, session: LinkSession, message: KillActor, _: object) -> Answer:
        caller = self.caller(session, "", action="killing actors")
        caller.objects.require(message.object_id, KILL)
        actor = self._actor(caller, message.object_id)
        self._require_kill(caller, actor)
        await self._state.audit(_event(caller, "kill", actor.name, "done"))
        actor.kill("it was killed")
        return Answer(Done())

    def _require_kill(self, caller: Caller, actor: LiveActor) -> None:
        caller.objects.require(actor.object_id, KILL)
        if actor.options.name:
            require_owner(caller.account, action="killing a named actor", domain=self._domain)

    async def _free(self, caller: Caller, object_ids: Sequence[bytes]) -> None:
        """Forgets results and actors; tensors as ``Operate`` does."""
        own = [it for it in object_ids if it[:PREFIX_BYTES] == caller.objects.prefix]
        tensors = caller.held.free(own)
        for object_id in tensors:
            caller.objects.free(object_id)
        if tensors:
            await self._store.execute(_encoder.encode(Operate(ops=(), free=tensors)), ())


def _require_rights(objects: SessionObjects, asked: Call) -> None:
    """Every object that a call touches has to be within the rights of the login.

    Raises:
        CapabilityError: one is not.
    """
    operation = f"call:{asked.method}"
    objects.require(asked.actor, operation)
    for value in (*asked.args, *asked.kwargs.values()):
        for reference in references_in(value):
            objects.require(reference.object_id, operation)


def _named(asked: Make | Call) -> str:
    return asked.cls if isinstance(asked, Make) else f"{asked.method} of {short(asked.actor)}"


def _event(caller: Caller, action: str, target: str, outcome: str) -> AuditEvent:
    return AuditEvent(caller.who, action, target, outcome)

"""A handle to an actor that lives in somebody else's domain, and to its methods."""

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import msgspec
from msgspec import Struct
from typing_extensions import override

from p2pgrid.client import inside
from p2pgrid.client.arguments import packed, ready_for
from p2pgrid.client.batch import Bundle
from p2pgrid.client.call_batch import Named, Positional
from p2pgrid.client.call_result import ResultPointer
from p2pgrid.client.display import Display, Displayed
from p2pgrid.client.handle import Called
from p2pgrid.client.home import Home
from p2pgrid.client.protocols import UnsupportedMethodError
from p2pgrid.client.session import Session
from p2pgrid.client.sharing import Grantable, Shareable
from p2pgrid.client.signature_text import check_class, signature_of
from p2pgrid.errors import ArgumentError, P2PGridError
from p2pgrid.ids import ID_BYTES, ObjectId, short
from p2pgrid.protocol.messages import Call, Id
from p2pgrid.protocol.signatures import ActorClassInfo, MethodInfo

MAX_TIMEOUT_S = 1e9


class ActorClass:
    """An exported class as its domain describes it.

    Raises:
        RemoteProtocolError: no Python class is like that.
    """

    def __init__(self, info: ActorClassInfo) -> None:
        self.info = check_class(info)
        self.methods: Mapping[str, MethodInfo] = {each.name: each for each in info.methods}

    def method(self, name: str) -> MethodInfo:
        """The method of this name.

        Raises:
            AttributeError: the name is private to some protocol that is probed for.
            UnsupportedMethodError: there is no such method; the error names the nearest.
        """
        if name.startswith("_"):
            raise AttributeError(f"an actor has no attribute {name!r}")
        found = self.methods.get(name)
        if found is None:
            near = difflib.get_close_matches(name[:40], self.methods, n=1, cutoff=0)
            what = f"{self.info.name}.{name[:40]}"
            raise UnsupportedMethodError(operation=what, nearest=near[0] if near else "none")
        return found


class ActorForm(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a handle is made from that somebody shared."""

    object_id: Id
    cls: ActorClassInfo


class Origin(NamedTuple):
    """The call that made an actor."""

    session: Session
    batch: Bundle
    is_named: bool


class ActorPointer(Called, Shareable):
    """A remote actor: ``pointer.method.remote(...)`` calls a method and returns at once.

    Calls of one program to one actor are carried out in the order in which they were made. The
    actor ends when its pointer and the pointers to its results are gone, unless it has a name.
    ``dir()`` lists its methods, ``help(pointer.method)`` says what they take.
    """

    __slots__ = ("_class", "_domain", "_id", "_origin")

    def __init__(
        self, domain: Home, object_id: ObjectId, cls: ActorClass, origin: Origin | None
    ) -> None:
        """Without an ``origin`` it is an actor that was not made here, and is not ended here."""
        self._domain, self._id, self._class, self._origin = domain, object_id, cls, origin

    @property
    def actor(self) -> Any:
        """Ray's own handle inside the domain's cluster, this pointer everywhere else."""
        return inside.actor_of(self.location, self._id.hex()) or self

    @property
    @override
    def error(self) -> P2PGridError | None:
        """Why the actor was not made, where that is known; waits for nothing."""
        return None if self._origin is None else self._origin.batch.error_of(self._id)

    def __getattr__(self, name: str) -> "MethodPointer":
        return MethodPointer(self, self._class.method(name))

    @override
    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._class.methods})

    @override
    def _display(self) -> Display:
        cls = self._class
        title = f"ActorPointer {cls.info.name} {short(self._id)} at {self._domain.name}"
        return Display(title, (("methods", ", ".join(cls.methods)),))

    def __del__(self) -> None:
        if self._origin is not None and not self._origin.is_named:
            self._origin.session.free(self._id)

    @override
    def _grantable(self) -> Grantable:
        if (error := self.error) is not None:
            raise error
        form = msgspec.msgpack.encode(ActorForm(self._id, self._class.info))
        return Grantable(self._domain, (self._id,), "actor", form)

    @override
    def _sessions(self) -> tuple[Session, ...]:
        if (error := self.error) is not None:
            raise error
        if self._origin is None or self._origin.is_named:
            return ()
        return (self._origin.session,)


def store_of(domain: Home) -> Any:
    """The actor that holds a domain's arrays; see ``TensorPointer.actor``."""
    cls = ActorClass(ActorClassInfo("Store", (), (), "Holds the arrays of a domain."))
    pointer = ActorPointer(domain, ObjectId(bytes(ID_BYTES)), cls, None)
    return inside.actor_of(domain.peer_id, inside.STORE) or pointer


class MethodPointer(Displayed):
    """A method of a remote actor; ``remote`` calls it."""

    def __init__(
        self, actor: ActorPointer, method: MethodInfo, timeout_s: float | None = None
    ) -> None:
        self._actor, self._method, self._timeout_s = actor, method, timeout_s
        self.__name__, self.__doc__ = method.name, method.doc

    @property
    def __signature__(self) -> Any:
        return signature_of(self._method.parameters, self._method.returns)

    def options(self, *, timeout: float | None = None) -> "MethodPointer":
        """The same method, to be called with other options.

        Args:
            timeout: seconds; a call without a result by then is cancelled by the domain. None:
                it may take as long as it needs.

        Raises:
            ArgumentError: it is no such time.
        """
        if timeout is not None and not 0 <= timeout <= MAX_TIMEOUT_S:
            problem = f"takes a timeout of 0 to {MAX_TIMEOUT_S:g} s, got {timeout:g}"
            raise ArgumentError(call="options", problem=problem)
        return MethodPointer(self._actor, self._method, timeout)

    def remote(self, *args: Any, **kwargs: Any) -> ResultPointer:
        """Calls the method, and returns at once; what fails later is told by ``get``.

        Args:
            *args: as its signature says: values, arrays, pointers.
            **kwargs: the same by name.

        Raises:
            ArgumentError: the call does not fit the signature.
            ValueTypeError, DtypeError, TooLargeError: a value cannot travel.
            CapabilityError: our right does not let a pointer of another domain come here.
            ObjectGoneError: the actor, or a pointer, is of a session that has ended.
            P2PGridError: why the actor, or a pointer's object, was not made, where it is known.
        """
        actor, name = self._actor, f"{self._actor._class.info.name}.{self._method.name}"
        session = ready_for(actor)
        call = packed(
            args,
            kwargs,
            self._method.parameters,
            call=name,
            make=self._call,
            domain=actor._domain,
        )
        out, batch = session.call(call)
        return ResultPointer(
            actor._domain, out, actor=actor, call=name, session=session, batch=batch
        )

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Refuses what would look like a local call."""
        raise TypeError(f"call it with .remote(): {self._method.name}.remote(...)")

    @override
    def _display(self) -> Display:
        place = self._actor._display().title
        facts = (("about", self._method.doc),)
        return Display(f"method {self.__name__}{self.__signature__} of {place}", facts)

    def _call(self, out: ObjectId, args: Positional, kwargs: Named) -> Call:
        name, actor = self._method.name, self._actor
        return Call(out, actor._id, name, args, dict(kwargs), self._timeout_s)

"""Exported classes of a domain, as a scientist sees them."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import msgspec
from typing_extensions import override

from p2pgrid.client.actor_pointer import ActorClass, ActorPointer, Origin
from p2pgrid.client.arguments import packed
from p2pgrid.client.call_batch import Named, Positional
from p2pgrid.client.display import Display, Displayed, Tabular
from p2pgrid.client.home import Home
from p2pgrid.client.signature_text import signature_of
from p2pgrid.errors import ArgumentError
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.messages import ActorOptions, Make
from p2pgrid.protocol.signatures import ActorClassInfo
from p2pgrid.protocol.text import Rows

NO_OPTIONS = ActorOptions()


class ActorClassPointer(Displayed):
    """An exported class: ``Counter.remote(10)`` makes an actor of it in the domain."""

    def __init__(self, domain: Home, cls: ActorClass, options: ActorOptions = NO_OPTIONS) -> None:
        self._domain, self._class, self._options = domain, cls, options
        self.__name__, self.__doc__ = cls.info.name, cls.info.doc

    @property
    def __signature__(self) -> Any:
        return signature_of(self._class.info.parameters)

    def options(
        self,
        *,
        num_cpus: float = 0.0,
        num_gpus: float = 0.0,
        memory: int = 0,
        max_restarts: int = 0,
        name: str | None = None,
    ) -> "ActorClassPointer":
        """The same class, whose actors are made with these options, which are Ray's.

        Args:
            num_cpus: processors that Ray reserves for the actor.
            num_gpus: GPUs that it reserves.
            memory: bytes that it reserves.
            max_restarts: how often an actor whose process died is started again, with the same
                arguments and a new state; -1: always.
            name: others find the actor by it. A named actor of an owner outlives the session.

        Raises:
            ArgumentError: one of them is not of its type or range.
        """
        asked = (num_cpus, num_gpus, memory, max_restarts, name or "")
        try:
            options = msgspec.convert(asked, ActorOptions)
        except msgspec.ValidationError as error:
            call = f"{self._class.info.name}.options"
            raise ArgumentError(call=call, problem=f"is not possible: {error}") from None
        return ActorClassPointer(self._domain, self._class, options)

    def remote(self, *args: Any, **kwargs: Any) -> ActorPointer:
        """Makes an actor, and returns at once; what fails later is told when it is called.

        Raises:
            ArgumentError: the call does not fit the signature of ``__init__``.
            P2PGridError: see ``MethodPointer.remote``.
        """
        session = self._domain.session_for(())
        call = packed(
            args,
            kwargs,
            self._class.info.parameters,
            call=self._class.info.name,
            make=self._make,
            domain=self._domain,
        )
        out, batch = session.call(call)
        origin = Origin(session, batch, is_named=bool(self._options.name))
        return ActorPointer(self._domain, out, self._class, origin)

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Refuses what would look like a local call."""
        name = self._class.info.name
        raise TypeError(f"make an actor with {name}.remote(...), not with {name}(...)")

    @override
    def _display(self) -> Display:
        title = f"ActorClass {self.__name__}{self.__signature__} at {self._domain.name}"
        return Display(title, (("methods", ", ".join(self._class.methods)),))

    def _make(self, out: ObjectId, args: Positional, kwargs: Named) -> Make:
        return Make(out, self._class.info.name, args, dict(kwargs), self._options)


class ActorClasses(Tabular, Mapping[str, ActorClassPointer]):
    """The exported classes of a domain by name; also as attributes."""

    def __init__(self, domain: Home, classes: Sequence[ActorClassInfo]) -> None:
        self._domain, self._infos = domain, classes
        self._classes = {info.name: ActorClassPointer(domain, ActorClass(info)) for info in classes}

    @override
    def __getitem__(self, name: str) -> ActorClassPointer:
        if name not in self._classes:
            raise KeyError(self._unknown(name))
        return self._classes[name]

    def __getattr__(self, name: str) -> ActorClassPointer:
        if name.startswith("_") or name not in self._classes:
            raise AttributeError(self._unknown(name))
        return self._classes[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    @override
    def __len__(self) -> int:
        return len(self._classes)

    @override
    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self})

    @override
    def _rows(self) -> Rows:
        return (("actor class", "methods", "about"), *map(_row_of, self._infos))

    @override
    def _note(self) -> str:
        return f"{len(self)} actor classes, exported by {self._domain.name}"

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(
            name[:40], self.__dict__.get("_classes", ()), n=1, cutoff=0
        )
        return (
            f"no class {name[:40]!r} is exported; the nearest one is {near[0] if near else 'none'}"
        )


def _row_of(info: ActorClassInfo) -> tuple[str, str, str]:
    methods = ", ".join(method.name for method in info.methods)
    return (f"{info.name}{signature_of(info.parameters)}", methods, info.doc)

"""A program that calls actors by the messages themselves, as any peer may write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.calls import Calls
from actors.domain import Domain
from p2pgrid import DomainClient
from p2pgrid.errors import P2PGridError
from p2pgrid.ids import ObjectId
from p2pgrid.net.link import Reply
from p2pgrid.protocol import faults, messages as m
from p2pgrid.protocol.values import (
    Packer,
    Reference,
    no_references,
    unpack,
)
from tests.fabric import exported
from tests.fabric.conftest import FabricNode, Grid

DEADLINE_S = 10.0


SOURCE = Path(exported.__file__)


def hospital(grid: Grid, name: str = "hospital") -> FabricNode:
    """A domain that exports the classes of ``exported``."""
    node = grid.launch(name)
    node.exports.add(SOURCE)
    return node


def calls_of(node: FabricNode) -> Calls:
    """The calls of a domain, from the inside."""
    assert isinstance(node.node._service, Domain)
    return node.node._service.calls


class Caller:
    """A logged-in program's end of the calls of a domain."""

    def __init__(self, domain: DomainClient) -> None:
        self.domain = domain

    def ask(self, message: m.Message, buffers: Sequence[bytes] = ()) -> Reply:
        """Asks on the session's link; a refusal is raised."""
        return self.domain._logins.session().link.request(message, buffers).result()

    def name(self) -> ObjectId:
        """A fresh name."""
        return self.domain._logins.session().names.next()

    def make(self, cls: str, *args: object, **options: Any) -> ObjectId:
        """Makes an actor."""
        out = self.name()
        packed, buffers = _packed(args)
        self.invoke(m.Make(out, cls, packed, options=m.ActorOptions(**options)), buffers)
        return out

    def call(
        self,
        actor: bytes,
        method: str,
        *args: object,
        timeout_s: float | None = None,
        **kwargs: object,
    ) -> ObjectId:
        """Calls a method; raises at once when it is refused at once."""
        out = self.name()
        packed, buffers = _packed((*args, *kwargs.values()))
        named = dict(zip(kwargs, packed[len(args) :], strict=True))
        self.invoke(m.Call(out, actor, method, packed[: len(args)], named, timeout_s), buffers)
        return out

    def invoke(self, call: m.Make | m.Call, buffers: Sequence[bytes] = ()) -> None:
        """Sends one call."""
        answer = self.ask(m.Invoke((call,)), buffers).message
        assert isinstance(answer, m.Invoked)
        for failed in answer.failed:
            raise faults.error_of(failed.failure)

    def ready(
        self, *object_ids: bytes, count: int = 1, timeout_s: float = DEADLINE_S
    ) -> set[bytes]:
        """Which of these have settled."""
        answer = self.ask(m.AwaitResults(object_ids, count, timeout_s)).message
        assert isinstance(answer, m.Ready)
        return set(answer.object_ids)

    def take(self, object_id: bytes, *, account: str = "") -> Any:
        """A result; its failure is raised."""
        (outcome,) = self.take_all(object_id, account=account)
        if isinstance(outcome, P2PGridError):
            raise outcome
        return outcome

    def take_all(
        self, *object_ids: bytes, account: str = "", timeout_s: float = DEADLINE_S
    ) -> list[Any]:
        """Results, and errors in the place of those that failed."""
        reply = self.ask(m.TakeResults(object_ids, timeout_s, account))
        assert isinstance(reply.message, m.Results)
        return [
            unpack(it.value, reply.buffers, resolve=lambda reference: reference)
            if it.failure is None
            else faults.error_of(it.failure)
            for it in reply.message.outcomes
        ]


def _packed(values: Sequence[object]) -> tuple[tuple[Any, ...], list[bytes]]:
    buffers: list[bytes] = []
    packer = Packer(buffers, ref_of=_reference, array_limit=1 << 25)
    return tuple(packer.pack(value) for value in values), buffers


def _reference(value: object) -> Reference | None:
    return value if isinstance(value, Reference) else no_references(value)

"""Remote computations that cannot be done."""

from p2pgrid.errors.base import P2PGridError


class ComputeError(P2PGridError):
    """A remote computation cannot be done."""

    code = 600


class UnsupportedRemoteOpError(ComputeError):
    """No such remote operation; nothing was downloaded instead."""

    code = 601

    def __init__(self, *, operation: str, nearest: str) -> None:
        super().__init__(f"{operation} is not a remote operation; the nearest one is {nearest}")
        self.operation, self.nearest = operation, nearest


class ObjectGoneError(ComputeError):
    """The object does not exist for this session: freed, consumed, or lost in a restart."""

    code = 602

    def __init__(self, *, object_id: str, domain: str) -> None:
        super().__init__(
            f"object {object_id} does not exist on {domain} (any more); compute it again"
        )
        self.object_id, self.domain = object_id, domain


class QuotaExceededError(ComputeError):
    """A session holds too many objects, or too many bytes of them."""

    code = 603

    def __init__(self, *, what: str, needed: int, limit: int) -> None:
        super().__init__(
            f"this session would hold {needed:,} {what}, but {limit:,} is the limit; "
            "delete pointers that you no longer need"
        )
        self.what, self.needed, self.limit = what, needed, limit


class ForeignPointerError(ComputeError):
    """Operands of one operation live in different domains."""

    code = 604

    def __init__(self, *, left: str, right: str) -> None:
        super().__init__(f"one operand lives on {left}, another on {right}; use one domain")
        self.left, self.right = left, right


class TaskError(ComputeError):
    """A method of an actor raised; what it said stays with the owner."""

    code = 610

    def __init__(self, *, call: str, reference: str) -> None:
        super().__init__(f"{call} raised an error; ask the owner for the log entry {reference}")
        self.call, self.reference = call, reference


class ActorDiedError(ComputeError):
    """The actor is gone for good, and its state with it."""

    code = 611

    def __init__(self, *, actor: str, reason: str) -> None:
        super().__init__(f"actor {actor} died: {reason}; make another one")
        self.actor, self.reason = actor, reason


class ActorUnavailableError(ComputeError):
    """The actor restarts; a call that was under way may or may not have been done."""

    code = 612

    def __init__(self, *, actor: str) -> None:
        super().__init__(
            f"actor {actor} restarts; this call may or may not have been done, and its state is "
            "new: call again if that is harmless"
        )
        self.actor = actor


class TaskCancelledError(ComputeError):
    """The call was cancelled before it had a result."""

    code = 613

    def __init__(self, *, call: str) -> None:
        super().__init__(f"{call} was cancelled")
        self.call = call


class GetTimeoutError(ComputeError, TimeoutError):
    """A result did not come in the time that the caller gave it; it may still come."""

    code = 614

    def __init__(self, *, waiting: int, timeout_s: float) -> None:
        super().__init__(
            f"{waiting} results did not come within {timeout_s:g} s; they may still come, "
            "wait longer or cancel them"
        )
        self.waiting, self.timeout_s = waiting, timeout_s


class ActorUnschedulableError(ComputeError):
    """The node has not the resources that an actor asks for, even when nothing else runs."""

    code = 615

    def __init__(self, *, resource: str, asked: float, available: float) -> None:
        super().__init__(
            f"the actor asks for {asked:g} {resource}, the domain has {available:g}; ask for less"
        )
        self.resource, self.asked, self.available = resource, asked, available


MOVE_FAILURES = {
    "unreachable": "nobody at its addresses proved to be that domain; see whether it runs",
    "interrupted": "the way between the two domains broke; call again",
    "unanswered": "the domain that has the object did not say; call again when it runs",
}


"""Why an object did not get to another domain, and what to do."""


class MoveFailedError(ComputeError):
    """An object did not get to another domain; ``reason`` is a key of ``MOVE_FAILURES``."""

    code = 616

    def __init__(self, *, object_id: str, domain: str, to: str, reason: str) -> None:
        advice = MOVE_FAILURES.get(reason, "call again")
        super().__init__(
            f"object {object_id} did not get from {domain} to {to} ({reason}): {advice}"
        )
        self.object_id, self.domain, self.to, self.reason = object_id, domain, to, reason

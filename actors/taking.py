"""How results of calls leave a domain: waiting for them, and taking them home.

Whether an account may know how a call ended is decided by ``policy/calls``, from the sources of
the result; a refusal tells the same whether it returned or raised. What derives from data is in the
audit log before it leaves.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from actors.calls import Caller, Calls
from actors.gateway import Answer, Handler, LinkSession
from actors.ports import AuditEvent, StatePort
from actors.results import Result
from p2pgrid.config import DEFAULT_LIMITS, Limits
from p2pgrid.errors import GetNotPermittedError, ObjectGoneError
from p2pgrid.ids import short
from p2pgrid.policy.access import Allowed
from p2pgrid.policy.calls import may_read
from p2pgrid.protocol.codec import MAX_BUFFERS, MAX_HEADER, Buffer
from p2pgrid.protocol.messages import (
    Account,
    AwaitResults,
    Message,
    Outcome,
    Ready,
    Results as Taken,
    TakeResults,
)
from p2pgrid.protocol.values import kept, transfer

ENVELOPE_BYTES = 1 << 16
"""Of a header, for what is not in its outcomes."""
FAILURE_BYTES = 2048
"""More than a failure takes in a header."""


class Taking:
    """The requests for results."""

    def __init__(
        self,
        calls: Calls,
        *,
        domain: str,
        state: StatePort,
        allowed: Allowed,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._calls, self._state, self._domain = calls, state, domain
        self._allowed, self._limits = allowed, limits
        self.handlers: Mapping[type[Message], Handler] = MappingProxyType(
            {AwaitResults: self._await, TakeResults: self._take}
        )

    async def _await(self, session: LinkSession, message: AwaitResults, _: object) -> Answer:
        results = self._calls.caller(session, "", action="waiting for results").held.results
        await results.wait(message.object_ids, message.num_returns, message.timeout_s)
        return Answer(Ready(tuple(filter(results.is_settled, message.object_ids))))

    async def _take(self, session: LinkSession, message: TakeResults, _: object) -> Answer:
        caller = self._calls.caller(session, message.account, action="get")
        await caller.held.results.wait(message.object_ids[:1], 1, message.timeout_s)
        outcomes = _Outcomes(self._limits.frame)
        taken: dict[str, list[str]] = {}
        for object_id in message.object_ids:
            result = caller.held.results.get(object_id) or self._gone(object_id)
            told, how = self._told(caller, object_id, result)
            if not told.is_ready or not outcomes.add(told):
                break
            if result.sources:
                taken.setdefault(how, []).append(f"{_name_of(result)} {short(object_id)}")
        for how, names in taken.items():
            await self._state.audit(AuditEvent(caller.account.name, "take", _listed(names), how))
        return Answer(Taken(tuple(outcomes.all)), outcomes.buffers)

    def _told(self, caller: Caller, object_id: bytes, result: Result) -> tuple[Result, str]:
        """The result, or a refusal in its place."""
        if not result.is_ready or self._may_read(caller.account, result):
            return result, "given"
        refusal = Result()
        refusal.fail(GetNotPermittedError(object_id=short(object_id), domain=self._domain))
        return refusal, "refused"

    def _may_read(self, account: Account, result: Result) -> bool:
        if result.callee is None:  # a call that was refused; what another domain deposited stays
            return result.failure is not None and not result.sources
        return may_read(account, result.callee, result.sources, self._allowed)

    def _gone(self, object_id: bytes) -> Result:
        gone = Result()
        gone.fail(ObjectGoneError(object_id=short(object_id), domain=self._domain))
        return gone


class _Outcomes:
    """Outcomes of one answer, as many as fit."""

    def __init__(self, frame: int) -> None:
        self.all: list[Outcome] = []
        self.buffers: list[Buffer] = []
        self._room, self._header_room = frame - MAX_HEADER, MAX_HEADER - ENVELOPE_BYTES

    def add(self, result: Result) -> bool:
        """Adds one; False when it does not fit. The first always does."""
        self._room -= result.size
        self._header_room -= FAILURE_BYTES if result.failure is not None else result.header_size
        arrays = len(self.buffers) + len(result.buffers)
        if self.all and (min(self._room, self._header_room) < 0 or arrays > MAX_BUFFERS):
            return False
        value = transfer(result.value, result.buffers, self.buffers, resolve=kept)
        self.all.append(Outcome(value, result.failure))
        return True


def _name_of(result: Result) -> str:
    return "a value" if result.callee is None else result.callee.name


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"

"""A call of an actor's method, from its admission until it has ended."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from actors.host_channel import FileArray, HostCall
from actors.results import Result, Results
from p2pgrid.errors import QuotaExceededError, TaskCancelledError
from p2pgrid.policy.access import Sources
from p2pgrid.policy.calls import Callee
from p2pgrid.protocol.signatures import Parameters, check_arguments
from p2pgrid.protocol.values import Reference, Value, transfer

Arrays = list[Any]
"""Bytes, views of bytes, and files."""


class PendingCall:
    """A call, what it waits for, and the result that it will have.

    It may begin when nothing is missing. The first failure among what it needs becomes its own.
    """

    __slots__ = (
        "_arrays",
        "_charged",
        "_on_ready",
        "args",
        "callee",
        "inputs",
        "kwargs",
        "missing",
        "number",
        "parameters",
        "result",
        "results",
    )

    def __init__(
        self,
        callee: Callee,
        parameters: Parameters,
        args: tuple[Value, ...],
        kwargs: dict[str, Value],
        *,
        result: Result,
        results: Results,
    ) -> None:
        self.callee, self.parameters = callee, parameters
        self.args, self.kwargs = args, kwargs
        self.result, self.results = result, results
        self.inputs: Mapping[bytes, Result] = {}
        self.missing = 0
        self.number = 0
        self._arrays: Arrays = []
        self._charged = 0
        self._on_ready: Callable[[], None] | None = None

    def carry(self, args: tuple[Value, ...], kwargs: dict[str, Value], arrays: Arrays) -> None:
        """Gives it its arguments with their arrays."""
        self.args, self.kwargs, self._arrays = args, kwargs, arrays

    def hold(self, size: int) -> None:
        """Charges the session with bytes until the call ends.

        Raises:
            QuotaExceededError: there are not so many left.
        """
        self.results.charge(size)
        if not self._charged:
            self.result.then(self._let_go)
        self._charged += size

    def need(self, inputs: Mapping[bytes, Result]) -> None:
        """Names what its references stand for; what is not there yet is missing."""
        self.inputs = inputs
        self.missing = len(inputs)
        for each in inputs.values():
            each.then(lambda each=each: self._arrived(each))  # type: ignore[misc]

    def when_ready(self, callback: Callable[[], None]) -> None:
        """Calls back, once, when nothing is missing any more, or it has failed."""
        self._on_ready = callback

    def expire_after(self, timeout_s: float, forget: Callable[["PendingCall"], None]) -> None:
        """Cancels the call when it has not ended by then; ``forget`` keeps it from beginning."""

        def expire() -> None:
            forget(self)
            self.cancel(f"its deadline of {timeout_s:g} s")

        deadline = asyncio.get_running_loop().call_later(timeout_s, expire)
        self.result.then(deadline.cancel)

    def cancel(self, why: str = "") -> None:
        """Ends it as cancelled, wherever it is; what the method does goes on."""
        name = f"{self.callee.name}, by {why}," if why else self.callee.name
        self.result.fail(TaskCancelledError(call=name))
        self._tell_ready()

    @property
    def is_ready(self) -> bool:
        """True when it may begin, or has ended before it could."""
        return self.missing == 0 or self.result.is_ready

    @property
    def sources(self) -> Sources:
        """The datasets of all that it is given."""
        return frozenset().union(*(it.sources for it in self.inputs.values()))

    def begin(self, number: int, arrays: Arrays) -> HostCall:
        """What is sent to the actor's process, with the arrays that are no files in ``arrays``.

        Raises:
            ArgumentError: what a reference stands for is not of the declared type.
        """
        self.number = number
        if not self.inputs and not self._arrays:
            return HostCall(number, self.callee.method, self.args, self.kwargs)
        own: Arrays = []
        args = tuple(self._transfer(it, own) for it in self.args)
        kwargs = {name: self._transfer(it, own) for name, it in self.kwargs.items()}
        if self.inputs:
            check_arguments(self.parameters, args, kwargs, call=self.callee.name)
        arrays.extend(it for it in own if not isinstance(it, FileArray))
        files = tuple(it if isinstance(it, FileArray) else None for it in own)
        return HostCall(number, self.callee.method, args, kwargs, files)

    def _transfer(self, value: Value, into: Arrays) -> Value:
        return transfer(value, self._arrays, into, resolve=self._resolve)

    def _resolve(self, reference: Reference, into: Arrays) -> Value:
        found = self.inputs[reference.object_id]
        return transfer(found.value, found.buffers, into, resolve=self._resolve)

    def _arrived(self, given: Result) -> None:
        self.missing -= 1
        if given.failure is not None:
            self.result.fail(given.failure, given.sources)
        else:
            try:
                self.hold(given.size)
            except QuotaExceededError as error:
                self.result.fail(error, self.sources)
        if self.is_ready:
            self._tell_ready()

    def _tell_ready(self) -> None:
        if self._on_ready is not None:
            callback, self._on_ready = self._on_ready, None
            callback()

    def _let_go(self) -> None:
        self.results.discharge(self._charged)

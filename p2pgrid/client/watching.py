"""Waiting for some of many results, of any domains, without taking them home."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from p2pgrid.client.call_result import ResultPointer
from p2pgrid.client.calls import checked
from p2pgrid.client.questions import Questions
from p2pgrid.client.taking import DIRECT_S, by_domain
from p2pgrid.errors import P2PGridError, SchemaError
from p2pgrid.net.link import Reply
from p2pgrid.protocol.messages import MAX_CALLS, MAX_WAIT_S, AwaitResults, Ready

CROWDED_S = 0.1
"""How long a question is open where many are."""


class Watch:
    """Results that somebody waits for; ``done`` is set when enough are ready, or time is up.

    Raises:
        SchemaError, ObjectGoneError: see ``p2pgrid.wait``.
    """

    def __init__(
        self, results: Sequence[ResultPointer], *, num_returns: int, timeout: float | None
    ) -> None:
        if not 1 <= num_returns <= len(set(results)) == len(results):
            problem = f"expected 1 to {len(set(results))} different results, got {num_returns}"
            raise SchemaError(field="num_returns", problem=problem)
        self.done: Future[None] = Future()
        self._results, self._num_returns, self._timeout = results, num_returns, timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._lock = threading.Lock()
        self._ready = {each for each in results if each.error is not None}
        groups = by_domain(each for each in results if each not in self._ready)
        self._open = len(groups)
        """Domains that may yet tell of more."""
        self._is_one_domain = len(groups) == 1
        self._end_if_over()
        for _, group, questions in groups:
            self._ask(group, questions)

    @property
    def patience_s(self) -> float | None:
        """How long to wait for ``done``: domains have a moment to say that time is up."""
        return None if self._timeout is None else max(self._timeout, DIRECT_S)

    def split(self) -> tuple[list[ResultPointer], list[ResultPointer]]:
        """What is ready, as many as were asked for, and the others."""
        with self._lock:
            ready = [each for each in self._results if each in self._ready][: self._num_returns]
        chosen = set(ready)
        return ready, [each for each in self._results if each not in chosen]

    def _ask(self, group: Sequence[ResultPointer], questions: Questions) -> None:
        with self._lock:
            group = [each for each in group if each not in self._ready]
            missing = self._num_returns - len(self._ready)
        asked: dict[bytes, ResultPointer] = {each._id: each for each in group[:MAX_CALLS]}
        count = min(missing, len(asked)) if self._is_one_domain else 1
        if self.done.done() or count < 1:
            return

        def answered(answer: "Future[Reply]") -> None:
            try:
                ready = checked(answer.result().message, Ready).object_ids
            except P2PGridError as error:
                self._end(error)
                return
            self._note({asked[each] for each in ready if each in asked}, group, questions)

        timeout_s = min(self._left_s(), CROWDED_S if questions.is_crowded else MAX_WAIT_S)
        questions.ask(AwaitResults(tuple(asked), count, timeout_s), answered)

    def _note(
        self, ready: set[ResultPointer], group: Sequence[ResultPointer], questions: Questions
    ) -> None:
        with self._lock:
            self._ready |= ready
            is_last = self._left_s() == 0 or self._ready.issuperset(group)
            self._open -= is_last
        self._end_if_over()
        if not is_last:
            self._ask(group, questions)

    def _end_if_over(self) -> None:
        with self._lock:
            over = self._open == 0 or len(self._ready) >= self._num_returns
        if over:
            self._end()

    def _end(self, error: P2PGridError | None = None) -> None:
        with self._lock:
            if self.done.done() or not self.done.set_running_or_notify_cancel():
                return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)

    def _left_s(self) -> float:
        return MAX_WAIT_S if self._deadline is None else max(0.0, self._deadline - time.monotonic())

"""Results on their way home, from a domain that answers whatever the test says."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest

from p2pgrid.client.batch import Names
from p2pgrid.client.call_batch import CallBatch
from p2pgrid.client.call_result import ResultPointer
from p2pgrid.client.questions import Question, Questions
from p2pgrid.client.taking import Gathering
from p2pgrid.client.watching import Watch
from p2pgrid.errors import (
    GetTimeoutError,
    P2PGridError,
    QuotaExceededError,
    RemoteProtocolError,
    TaskError,
    TransportError,
)
from p2pgrid.net.link import Reply
from p2pgrid.protocol import faults, messages as m
from p2pgrid.protocol.arrays import ArrayHeader
from p2pgrid.protocol.values import ArrayValue, ListValue, Ref, Value

Answerer = Callable[[Question], Reply | P2PGridError]
FAILED = faults.failure_of(TaskError(call="Counter.fail", reference="0a"))


class Script:
    """A domain, a session and a link in one; ``answer`` decides what comes back."""

    def __init__(self, answer: Answerer) -> None:
        self.answer = answer
        self.asked: list[Question] = []
        self.names = Names(b"12345678", last=bytes(8))
        self.questions = Questions(self._inquire)
        self.link = SimpleNamespace(is_open=True)
        self.batch = CallBatch(deque())
        self.batch._end()

    def results(self, count: int) -> list[ResultPointer]:
        actor = SimpleNamespace(error=None)
        return [
            ResultPointer(
                cast("Any", self),
                self.names.next(),
                actor=cast("Any", actor),
                call="Counter.incr",
                session=cast("Any", self),
                batch=self.batch,
            )
            for _ in range(count)
        ]

    def session_for(self, _: object) -> "Script":
        return self

    def free(self, _: bytes) -> None:
        """Nothing is kept."""

    def _inquire(self, question: Question, _: float) -> "Future[Reply]":
        self.asked.append(question)
        future: Future[Reply] = Future()
        answer = self.answer(question)
        if isinstance(answer, Reply):
            future.set_result(answer)
        else:
            future.set_exception(answer)
        return future


def outcomes(*values: Value) -> Reply:
    return Reply(m.Results(tuple(m.Outcome(value) for value in values)), ())


def get(answer: Answerer, count: int = 3, timeout: float | None = None) -> list[Any]:
    return Gathering(Script(answer).results(count), timeout=timeout).wait()


def test_results_are_taken_from_the_front_as_many_as_fit_at_a_time() -> None:
    def three_at_a_time(question: Question) -> Reply:
        return outcomes(*(name[-1] for name in question.object_ids[:3]))

    script = Script(three_at_a_time)
    assert Gathering(script.results(10)).wait() == list(range(1, 11))
    assert [len(question.object_ids) for question in script.asked] == [10, 7, 4, 1]


def test_a_result_that_is_late_is_asked_for_again_when_it_is_ready() -> None:
    script = Script(lambda _: outcomes())
    replies = iter([outcomes(), Reply(m.Ready(()), ()), outcomes(5)])

    def answer(question: Question) -> Reply:
        if isinstance(question, m.AwaitResults) and len(script.asked) > 2:
            return Reply(m.Ready(question.object_ids), ())
        return next(replies)

    script.answer = answer
    assert Gathering(script.results(1)).wait() == [5]
    kinds = [type(question).__name__ for question in script.asked]
    assert kinds == ["TakeResults", "AwaitResults", "AwaitResults", "TakeResults"]


def test_more_results_than_a_message_names_are_asked_for_in_turn() -> None:
    script = Script(lambda question: outcomes(*range(len(question.object_ids))))
    assert len(Gathering(script.results(m.MAX_CALLS + 5)).wait()) == m.MAX_CALLS + 5
    assert [len(question.object_ids) for question in script.asked] == [m.MAX_CALLS, 5]


def nested() -> Value:
    value: Value = None
    for _ in range(100):
        value = ListValue((value,))
    return value


@pytest.mark.parametrize(
    "reply",
    [
        Reply(m.Done(), ()),
        Reply(m.Ready(()), ()),
        outcomes(1, 2, 3, 4),
        outcomes(nested()),
        outcomes(Ref(bytes(16)), 2, 3),
        outcomes(ArrayValue(ArrayHeader("float64", (2,), 0)), 2, 3),
    ],
    ids=["another kind", "a kind for another question", "more", "deep", "reference", "no buffer"],
)
def test_what_no_domain_would_answer_is_refused(reply: Reply) -> None:
    with pytest.raises(RemoteProtocolError):
        get(lambda _: reply)


def test_the_first_failure_ends_it_and_what_came_before_is_not_lost_on_others() -> None:
    reply = Reply(m.Results((m.Outcome(1), m.Outcome(failure=FAILED), m.Outcome(3))), ())
    with pytest.raises(TaskError, match=r"Counter.fail"):
        get(lambda _: reply)


def test_a_call_that_was_refused_fails_as_it_was_refused_not_as_the_domain_says_now() -> None:
    refused = QuotaExceededError(what="actors", needed=2, limit=1)
    script = Script(lambda _: Reply(m.Results((m.Outcome(failure=FAILED),)), ()))
    script.batch = CallBatch(deque())
    (result,) = script.results(1)
    gathering = Gathering((result,))
    assert not gathering.done.done()
    script.batch._note_failed([m.FailedOp(result._id, faults.failure_of(refused))])
    script.batch._end()
    with pytest.raises(QuotaExceededError):
        gathering.wait()
    asked = len(script.asked)
    with pytest.raises(QuotaExceededError):
        Gathering((result,)).wait()
    assert len(script.asked) == asked


def test_a_batch_that_was_lost_fails_its_results_without_a_question() -> None:
    script = Script(lambda _: outcomes(1))
    script.batch.error = TransportError("the link broke")
    results = script.results(2)
    with pytest.raises(TransportError):
        Gathering(results).wait()
    watch = Watch(results, num_returns=2, timeout=None)
    assert watch.done.done()
    assert watch.split() == (results, [])
    assert script.asked == []


def test_time_that_is_up_is_told_with_what_is_missing() -> None:
    def first_only(question: Question) -> Reply:
        return outcomes(1) if len(question.object_ids) == 3 else outcomes()

    with pytest.raises(GetTimeoutError, match="2 results did not come within 0 s"):
        get(first_only, timeout=0)


def test_a_domain_that_does_not_answer_does_not_hold_up_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("p2pgrid.client.taking.DIRECT_S", 0.01)
    script = Script(lambda _: outcomes())
    silent: Future[Reply] = Future()
    script.questions = Questions(lambda *_: silent)
    gathering = Gathering(script.results(2), timeout=0.05)
    with pytest.raises(GetTimeoutError, match="2 results"):
        gathering.wait()
    silent.set_result(outcomes(1, 2))  # too late, and nobody minds


def test_nobody_is_asked_for_what_nobody_waits_for() -> None:
    late = Script(lambda _: outcomes())
    polls: list[Future[Reply]] = []

    def inquire(question: Question, _: float) -> "Future[Reply]":
        future: Future[Reply] = Future()
        if isinstance(question, m.TakeResults):
            future.set_result(outcomes())
        else:
            polls.append(future)
        return future

    late.questions = Questions(inquire)
    gathering = Gathering(late.results(1))
    assert len(polls) == 1
    gathering.done.cancel()
    polls[0].set_result(Reply(m.Ready(()), ()))
    assert len(polls) == 1


def test_a_watch_ends_when_enough_is_ready_or_all_domains_have_told() -> None:
    script = Script(lambda question: Reply(m.Ready(question.object_ids[:1]), ()))
    results = script.results(3)
    watch = Watch(results, num_returns=2, timeout=None)
    assert watch.done.done()
    assert watch.split() == (results[:2], results[2:])
    none = Script(lambda _: Reply(m.Ready(()), ()))
    other = none.results(1)
    watch = Watch([*other, *script.results(1)], num_returns=2, timeout=0)
    assert watch.done.done()
    assert len(watch.split()[0]) == 1


def test_a_watch_of_a_broken_link_tells_so() -> None:
    script = Script(lambda _: TransportError("the link broke"))
    watch = Watch(script.results(1), num_returns=1, timeout=None)
    assert isinstance(watch.done.exception(), TransportError)

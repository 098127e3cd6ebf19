"""Questions about results: few are open, long ones merge, and every answer is called for once."""

from concurrent.futures import Future

import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid.client.questions import MAX_OPEN, MAX_POLLED, MAX_POLLS, Question, Questions
from p2pgrid.errors import P2PGridError, RemoteProtocolError, TransportError
from p2pgrid.ids import ObjectId
from p2pgrid.net.link import Reply
from p2pgrid.protocol.messages import MAX_WAIT_S, AwaitResults, Done, Ready, TakeResults

IDS = [ObjectId(bytes(8) + number.to_bytes(8, "big")) for number in range(2000)]


class Domain:
    """Keeps questions open until the test answers them."""

    def __init__(self) -> None:
        self.open: list[tuple[Question, Future[Reply]]] = []
        self.questions = Questions(self.inquire)

    def inquire(self, question: Question, timeout_s: float) -> "Future[Reply]":
        assert timeout_s == question.timeout_s
        future: Future[Reply] = Future()
        self.open.append((question, future))
        return future

    def answer(self, *ready: ObjectId) -> Question:
        """Answers the oldest question."""
        question, future = self.open.pop(0)
        told = set(ready) & set(question.object_ids)
        future.set_result(Reply(Ready(tuple(told)), ()))
        return question

    def polls(self) -> list[AwaitResults]:
        return [question for question, _ in self.open if isinstance(question, AwaitResults)]


@pytest.fixture
def domain() -> Domain:
    return Domain()


def test_questions_wait_their_turn_and_are_answered_in_order(domain: Domain) -> None:
    answered: list[int] = []
    for number in range(3 * MAX_OPEN):
        ask = TakeResults((IDS[number],), 0.0)
        domain.questions.ask(ask, lambda _, number=number: answered.append(number))  # type: ignore[misc]
    assert len(domain.open) == MAX_OPEN
    while domain.open:
        domain.answer()
        assert len(domain.open) <= MAX_OPEN
    assert answered == list(range(3 * MAX_OPEN))
    assert not domain.questions.is_crowded


def test_it_is_crowded_while_half_of_them_are_open(domain: Domain) -> None:
    for number in range(MAX_OPEN // 2):
        assert not domain.questions.is_crowded
        domain.questions.ask(TakeResults((IDS[number],), 1.0), lambda _: None)
    assert domain.questions.is_crowded
    domain.answer()
    assert not domain.questions.is_crowded


def test_a_question_that_fails_makes_room(domain: Domain) -> None:
    failures: list[BaseException | None] = []
    for number in range(MAX_OPEN + 1):
        question = TakeResults((IDS[number],), 0.0)
        domain.questions.ask(question, lambda answer: failures.append(answer.exception()))
    broken = TransportError("the link broke")
    for _ in range(MAX_OPEN + 1):
        domain.open.pop(0)[1].set_exception(broken)
    assert failures == [broken] * (MAX_OPEN + 1)


def test_those_who_wait_share_a_few_polls_that_merge(domain: Domain) -> None:
    ready: list[ObjectId] = []
    for object_id in IDS[:100]:
        domain.questions.when_ready(object_id, lambda _, it=object_id: ready.append(it))  # type: ignore[misc]
    polls = domain.polls()
    assert len(polls) == MAX_POLLS
    assert polls[0].timeout_s == MAX_WAIT_S
    assert [poll.timeout_s for poll in polls] == sorted((p.timeout_s for p in polls), reverse=True)
    assert polls[-1].timeout_s < 1
    _, last = domain.open.pop()
    last.set_result(Reply(Ready(()), ()))
    assert len(domain.polls()[-1].object_ids) == 100 - MAX_POLLS + 1
    assert ready == []


def test_a_poll_asks_for_so_many_and_the_others_take_turns(domain: Domain) -> None:
    for object_id in IDS:
        domain.questions.when_ready(object_id, lambda _: None)
    asked: set[bytes] = set()
    for _ in range(4 * len(IDS) // MAX_POLLED):
        question = domain.answer()
        assert len(question.object_ids) <= MAX_POLLED
        asked.update(question.object_ids)
    assert asked == set(IDS)


@settings(max_examples=settings().max_examples // 4)
@given(st.data())
def test_everybody_is_called_once_whatever_the_order_of_answers(data: st.DataObject) -> None:
    domain = Domain()
    called: dict[ObjectId, int] = dict.fromkeys(IDS[:30], 0)
    expected: dict[ObjectId, int] = dict.fromkeys(IDS[:30], 0)

    def when_ready(object_id: ObjectId) -> None:
        expected[object_id] += 1

        def ready(error: P2PGridError | None) -> None:
            assert error is None
            called[object_id] += 1

        domain.questions.when_ready(object_id, ready)

    for object_id in data.draw(st.lists(st.sampled_from(IDS[:30]), max_size=60)):
        when_ready(object_id)
        is_answered = data.draw(st.booleans())
        if domain.open and is_answered:
            domain.answer(*data.draw(st.sets(st.sampled_from(IDS[:30]))))
    while domain.open:
        assert len(domain.open) <= MAX_POLLS
        domain.answer(*IDS)
    assert called == expected


def test_who_waits_no_more_is_not_called(domain: Domain) -> None:
    called: list[str] = []
    first, second = lambda _: called.append("first"), lambda _: called.append("second")
    for on_ready in (first, second):
        domain.questions.when_ready(IDS[0], on_ready)
    domain.questions.forget(IDS[0], first)
    domain.questions.forget(IDS[1], first)
    domain.answer(IDS[0])
    assert called == ["second"]
    domain.questions.when_ready(IDS[2], first)
    domain.questions.forget(IDS[2], first)
    domain.answer()
    assert domain.open == []


@pytest.mark.parametrize("wrong", [TransportError("the link broke"), Reply(Done(), ())])
def test_when_a_poll_fails_those_who_wait_are_told(
    domain: Domain, wrong: TransportError | Reply
) -> None:
    told: list[P2PGridError | None] = []
    domain.questions.when_ready(IDS[0], told.append)
    _, answer = domain.open.pop(0)
    if isinstance(wrong, Reply):
        answer.set_result(wrong)
    else:
        answer.set_exception(wrong)
    assert isinstance(told[0], TransportError | RemoteProtocolError)
    assert domain.open == []
    domain.questions.when_ready(IDS[1], told.append)
    domain.answer(*IDS)
    assert told[1] is None


def test_a_domain_cannot_make_results_ready_that_nobody_asked_for(domain: Domain) -> None:
    told: list[P2PGridError | None] = []
    domain.questions.when_ready(IDS[0], told.append)
    _, answer = domain.open.pop(0)
    answer.set_result(Reply(Ready((IDS[7], b"x" * 16)), ()))
    assert told == []
    assert domain.polls()[0].object_ids == (IDS[0],)

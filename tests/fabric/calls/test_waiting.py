"""How long a scientist waits for calls: get and its time, wait, cancel, kill."""

import threading
from typing import Any

import pytest

import p2pgrid
from p2pgrid import ActorPointer, DomainClient
from p2pgrid.client.watching import Watch
from p2pgrid.errors import ActorDiedError, GetTimeoutError, SchemaError, TaskCancelledError
from tests.fabric.gates import Gate

# --- time -------------------------------------------------------------------------------------


def test_a_get_that_takes_too_long_says_how_many_are_missing(
    counter: ActorPointer, gate: Gate
) -> None:
    results = [counter.incr.remote(), counter.wait.remote("gate"), counter.incr.remote()]
    assert results[0].get() == 1
    for timeout in (0, 0.05):
        with pytest.raises(GetTimeoutError, match="2 results") as caught:
            p2pgrid.get(results, timeout=timeout)
        assert caught.value.timeout_s == timeout
        assert isinstance(caught.value, TimeoutError)
    gate.opened.set()
    assert p2pgrid.get(results, timeout=10) == [1, "gate", 2]
    assert p2pgrid.get(results, timeout=0) == [1, "gate", 2]


def test_a_long_get_asks_again_until_the_result_is_there(
    counter: ActorPointer, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pgrid.client.taking.DIRECT_S", 0.02)
    monkeypatch.setattr("p2pgrid.client.questions.MAX_WAIT_S", 0.02)
    slow = counter.wait.remote("gate")
    opener = threading.Timer(0.2, gate.opened.set)
    opener.start()
    assert p2pgrid.get([slow, counter.incr.remote()]) == ["gate", 1]
    opener.join()


def test_a_long_get_ends_when_its_time_is_up(
    counter: ActorPointer, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pgrid.client.taking.DIRECT_S", 0.02)
    assert not gate.opened.is_set()
    slow = counter.wait.remote("gate")
    with pytest.raises(GetTimeoutError, match=r"1 results did not come within 0.1 s"):
        slow.get(timeout=0.1)


def test_a_call_with_a_deadline_is_cancelled_by_the_domain(
    counter: ActorPointer, gate: Gate
) -> None:
    late = counter.wait.options(timeout=0.05).remote("gate")
    with pytest.raises(TaskCancelledError, match=r"Counter.wait"):
        p2pgrid.get(late)
    gate.opened.set()
    assert counter.incr.options(timeout=10).remote().get() == 1


# --- wait -------------------------------------------------------------------------------------


def test_wait_tells_what_is_ready_in_the_order_given(counter: ActorPointer, gate: Gate) -> None:
    first, slow, last = counter.incr.remote(), counter.wait.remote("gate"), counter.incr.remote()
    assert p2pgrid.wait([slow, first], timeout=5) == ([first], [slow])
    assert p2pgrid.wait([last, slow, first], num_returns=2, timeout=0.05) == (
        [first],
        [last, slow],
    )
    gate.opened.set()
    assert p2pgrid.wait([last, slow, first], num_returns=3) == ([last, slow, first], [])
    assert p2pgrid.wait([last, slow, first], num_returns=2) == ([last, slow], [first])
    assert p2pgrid.wait([last], timeout=0) == ([last], [])


def test_what_has_failed_is_ready(owner: DomainClient, counter: ActorPointer) -> None:
    failed = counter.fail.remote()
    assert p2pgrid.wait([failed]) == ([failed], [])
    refused = owner.actors.Counter.remote(-1).incr.remote()
    assert p2pgrid.wait([refused, failed], num_returns=2) == ([refused, failed], [])


def test_a_long_wait_asks_again(
    counter: ActorPointer, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pgrid.client.watching.MAX_WAIT_S", 0.02)
    slow = counter.wait.remote("gate")
    opener = threading.Timer(0.2, gate.opened.set)
    opener.start()
    assert p2pgrid.wait([slow]) == ([slow], [])
    opener.join()


@pytest.mark.parametrize("count", [0, 3, -1])
def test_wait_for_more_than_there_are_is_refused(counter: ActorPointer, count: int) -> None:
    results = [counter.incr.remote(), counter.incr.remote()]
    with pytest.raises(SchemaError, match=f"1 to 2 different results, got {count}"):
        p2pgrid.wait(results, num_returns=count)
    with pytest.raises(SchemaError, match="1 to 1"):
        p2pgrid.wait([results[0], results[0]])


def test_many_who_wait_do_not_hold_up_others(
    counter: ActorPointer, owner: DomainClient, gate: Gate
) -> None:
    slow = [counter.wait.remote("gate") for _ in range(40)]
    found: list[Any] = []
    threads = [threading.Thread(target=lambda r=r: found.append(r.get())) for r in slow]
    for thread in threads:
        thread.start()
    assert gate.reached.wait(10)
    other = owner.actors.Counter.remote()
    assert other.incr.remote().get(timeout=10) == 1
    assert p2pgrid.wait([*slow, other.incr.remote()], timeout=10)[0] != []
    gate.opened.set()
    for thread in threads:
        thread.join(20)
    assert found == ["gate"] * 40


def test_questions_that_stay_open_do_not_keep_others_from_being_sent(
    owner: DomainClient, counter: ActorPointer, gate: Gate
) -> None:
    slow = counter.wait.remote("gate")
    watches = [Watch([slow], num_returns=1, timeout=None) for _ in range(6)]
    assert owner.actors.Counter.remote().incr.remote().get(timeout=5) == 1
    assert not any(watch.done.done() for watch in watches)
    gate.opened.set()
    assert slow.get() == "gate"


# --- cancel and kill --------------------------------------------------------------------------


def test_a_call_that_waits_is_cancelled_and_one_that_is_over_stays(
    counter: ActorPointer, gate: Gate
) -> None:
    running, waiting = counter.wait.remote("gate"), counter.incr.remote()
    assert gate.reached.wait(10)
    p2pgrid.cancel(waiting)
    gate.opened.set()
    with pytest.raises(TaskCancelledError, match=r"Counter.incr was cancelled"):
        waiting.get()
    assert running.get() == "gate"
    p2pgrid.cancel(running)
    assert running.get() == "gate"
    assert counter.incr.remote().get() == 1


def test_a_call_that_runs_is_cancelled_by_force_only_and_its_actor_with_it(
    counter: ActorPointer, gate: Gate
) -> None:
    running = counter.wait.remote("gate")
    assert gate.reached.wait(10)
    p2pgrid.cancel(running)
    assert p2pgrid.wait([running], timeout=0) == ([], [running])
    p2pgrid.cancel(running, force=True)
    for result in (running, counter.incr.remote()):
        with pytest.raises(ActorDiedError, match="cancelled by force"):
            result.get()


def test_a_killed_actor_is_dead(counter: ActorPointer, gate: Gate) -> None:
    running = counter.wait.remote("gate")
    assert gate.reached.wait(10)
    p2pgrid.kill(counter)
    for result in (running, counter.incr.remote()):
        with pytest.raises(ActorDiedError, match="make another"):
            result.get()

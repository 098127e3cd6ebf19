"""Objects that move from one domain into calls at another one, as a scientist asks for it."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import p2pgrid
from p2pgrid import DomainClient, ResultPointer, TensorPointer
from p2pgrid.config import Limits
from p2pgrid.errors import (
    ArgumentError,
    CapabilityError,
    DiskFullError,
    GetNotPermittedError,
    MoveFailedError,
    MoveNotPermittedError,
    P2PGridError,
    QuotaExceededError,
    ShapeError,
    TaskError,
)
from p2pgrid.ids import peer_id_of
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.messages import MoveObject
from tests.fabric.conftest import Grid
from tests.fabric.moving import Two, Wire, refused, watched

HEART = np.linspace(60.125, 180.375, 53)
LARGE = np.linspace(60.125, 180.375, 90_011)
"""Over ``Limits.inline``."""
COUNT = (90_011).to_bytes(5, "big").replace(b"\0", b"\xce", 1)
"""The number of its elements, as MessagePack writes it."""
NOBODY = peer_id_of(bytes(range(32)))


@pytest.fixture
def two(grid: Grid) -> Two:
    return Two(grid)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with watched() as wire:
        yield wire


def has_values(data: bytes, values: Array) -> bool:
    """True when any two neighbours of the first thousand are there, byte for byte."""
    raw = values[:1000].tobytes()
    return any(raw[at : at + 16] in data for at in range(0, len(raw) - 16, 8))


def on_disk(folder: Path) -> bytes:
    return b"".join(it.read_bytes() for it in sorted(folder.rglob("*")) if it.is_file())


def failure_of(result: ResultPointer) -> P2PGridError:
    with pytest.raises(P2PGridError) as caught:
        p2pgrid.get(result, timeout=20)
    return caught.value


@pytest.mark.parametrize("values", [HEART, LARGE], ids=["small", "large"])
def test_an_actor_is_given_an_array_of_another_domain(two: Two, wire: Wire, values: Array) -> None:
    stats = two.stats()
    stats.give.remote(two.publish("heart", values))
    assert p2pgrid.get(stats.rounded.remote()) == round(float(values.mean()))
    assert has_values(wire.between(two.data.peer_id, two.actors.peer_id), values)
    assert not has_values(wire.into(two.ann.peer.peer_id), values)


def test_a_result_of_operations_and_an_array_inside_of_a_value_move(two: Two) -> None:
    heart = two.publish("heart", HEART)
    stats = two.stats()
    stats.give.remote(heart[:5] * 2 + 1)
    assert p2pgrid.get(stats.rounded.remote()) == round(float((HEART[:5] * 2 + 1).mean()))


@pytest.mark.parametrize("count", [53, 90_011])
def test_a_result_of_an_actor_moves_to_another_domain(two: Two, count: int) -> None:
    there = two.data.actors["Stats"].remote()
    doubled = there.double.remote(np.arange(float(count)))
    stats = two.stats()
    stats.give.remote(doubled)
    assert p2pgrid.get(stats.rounded.remote()) == count - 1


def test_what_a_method_releases_moves_as_freely_as_it_is_read(two: Two) -> None:
    there = two.data.actors["Stats"].remote()
    there.give.remote(two.publish("closed", HEART, allowed_domains=()))
    stats = two.stats()
    for result, outcome in ((there.rounded.remote(), "given"), (there.mean.remote(), "refused")):
        call = stats.describe.remote({"a": [result]})
        assert p2pgrid.wait([call], timeout=20)[0]
        moves = [it.outcome for it in two.clinic.state.audit_log() if it.action == "move"]
        assert moves[-1] == outcome


def test_one_pointer_in_two_places_of_a_call_moves_once(two: Two) -> None:
    heart = two.publish("heart", HEART)
    described = two.stats().describe.remote({"a": [heart], "b": [heart]})
    assert p2pgrid.wait([described], timeout=20)[0]
    assert len([it for it in two.clinic.state.audit_log() if it.action == "move"]) == 1


def test_what_derives_from_it_is_for_the_receiver_s_owner_only(two: Two) -> None:
    stats = two.stats()
    mean = stats.mean.remote(two.publish("heart", HEART, allowed_users="ann"))
    with pytest.raises(GetNotPermittedError):
        p2pgrid.get(mean)
    with pytest.raises(GetNotPermittedError):
        p2pgrid.get(stats.mean.remote(HEART))  # the actor may have kept what it was given
    stats.give.remote(HEART)
    assert p2pgrid.get(stats.rounded.remote()) == round(float(HEART.mean()))


def test_both_domains_write_down_what_moved(two: Two) -> None:
    stats = two.stats()
    heart = two.publish("heart", HEART)
    stats.give.remote(heart)
    p2pgrid.get(stats.rounded.remote())
    (given,) = [it for it in two.clinic.state.audit_log() if it.action == "move"]
    (taken,) = [it for it in two.hospital.state.audit_log() if it.action == "deposit"]
    name = heart._id[-4:].hex()
    assert given == ("ann", "move", f"{name} to {two.actors.peer_id}", "given")
    assert taken.account.startswith("ann via ")
    assert taken.target.endswith(f"from {two.data.peer_id}")
    assert taken.outcome == "taken"


def shared(two: Two, giver: DomainClient, **narrowed: Any) -> TensorPointer:
    """What ben, who has an account at the hospital only, was given of the clinic's closed array."""
    key = two.ann.wallet.new(two.data.peer_id, "ben").public_key
    closed = next(it for it in giver.datasets if it.name == "closed").pointers[0]
    pointer = two.ann.accept(closed.share(key, **narrowed))
    assert isinstance(pointer, TensorPointer)
    return pointer


def test_an_owner_s_token_lets_an_object_move(two: Two) -> None:
    two.publish("closed", HEART, allowed_domains=())
    stats, there = two.stats(), (two.actors.peer_id,)
    given = shared(two, two.owners[two.clinic], operations="move", to=there)
    stats.give.remote(given)
    assert p2pgrid.get(stats.rounded.remote()) == round(float(HEART.mean()))
    (moved,) = [it for it in two.clinic.state.audit_log() if it.action == "move"]
    assert moved.account.startswith("owner via ")


@pytest.mark.parametrize(
    "narrowed",
    [{"operations": "move", "to": (NOBODY,)}, {"operations": ("get", "copy")}],
    ids=["elsewhere", "something else"],
)
def test_a_token_lets_an_object_move_only_as_it_says(two: Two, narrowed: dict[str, Any]) -> None:
    two.publish("closed", HEART, allowed_domains=())
    given = shared(two, two.owners[two.clinic], **narrowed)
    refusal = failure_of(two.stats().mean.remote(given))
    assert type(refusal) is CapabilityError
    assert refusal.reason == "scope"
    outcomes = [it.outcome for it in two.clinic.state.audit_log() if it.action == "move"]
    assert outcomes == ["refused"]


def test_a_scientist_s_token_gives_no_more_than_the_scientist_has(two: Two) -> None:
    two.publish("closed", HEART, allowed_domains=())
    given = shared(two, two.data, operations="move")
    assert type(failure_of(two.stats().mean.remote(given))) is MoveNotPermittedError


def test_a_refused_move_leaves_no_trace_of_the_data(
    two: Two, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    closed = two.publish("zanzibar", LARGE, allowed_domains=NOBODY)
    stats = two.stats()
    seen = len(wire.frames)
    for refusing in (closed, closed * 0 + 1, closed[0]):
        with refused(MoveNotPermittedError) as caught:
            p2pgrid.get(stats.mean.remote(refusing), timeout=20)
        named = {"object_id", "domain", "to"}
        assert set(vars(caught.value)) == named
    hospital = two.actors.peer_id
    wire.frames[:seen] = []
    assert wire.between(two.data.peer_id, hospital) == b""
    logs = "".join(str(vars(record)) for record in caplog.records).encode()
    files = on_disk(two.hospital.directory.path)
    for place in (wire.into(hospital), wire.into(two.ann.peer.peer_id), files, logs):
        assert not has_values(place, LARGE)
    for place in (wire.into(hospital), files):
        assert b"zanzibar" not in place
        assert COUNT not in place
    assert two.hospital.store._sessions == {}
    outcomes = [it.outcome for it in two.clinic.state.audit_log() if it.action == "move"]
    assert outcomes == ["refused"] * 3


def test_the_places_that_are_searched_for_traces_have_those_of_a_move(two: Two, wire: Wire) -> None:
    stats = two.stats()
    mean = stats.mean.remote(two.publish("heart", LARGE))
    p2pgrid.wait([mean], timeout=20)
    assert has_values(wire.into(two.actors.peer_id), LARGE)
    assert COUNT in wire.into(two.actors.peer_id)
    assert has_values(on_disk(two.clinic.directory.path), LARGE)


def test_a_move_that_is_refused_fails_what_needs_it_and_leaves_the_actor_alive(two: Two) -> None:
    stats = two.stats()
    stats.give.remote(HEART)
    refusal = failure_of(stats.give.remote(two.publish("closed", HEART, allowed_domains=())))
    assert type(refusal) is MoveNotPermittedError
    assert p2pgrid.get(stats.rounded.remote()) == round(float(HEART.mean()))


def test_a_call_that_is_not_made_moves_nothing(two: Two) -> None:
    heart = two.publish("heart", HEART)
    stats = two.stats()
    with pytest.raises(ArgumentError):
        stats.double.remote(heart, heart, heart)
    p2pgrid.get(two.stats().double.remote(HEART))
    assert not [it for it in two.clinic.state.audit_log() if it.action == "move"]


def test_a_pointer_of_this_domain_does_not_move(two: Two) -> None:
    stats = two.stats()
    doubled = stats.double.remote(HEART)
    np.testing.assert_array_equal(p2pgrid.get(stats.double.remote(doubled)), HEART * 4)
    assert not [it for it in two.hospital.state.audit_log() if it.action in {"move", "deposit"}]


def test_the_failure_of_what_should_move_is_that_of_the_call(two: Two) -> None:
    failing = two.data.actors["Counter"].remote().fail.remote()
    assert type(failure_of(two.stats().mean.remote(failing))) is TaskError
    operands = (two.publish("heart", HEART)._id, two.publish("other", LARGE)._id)
    poisoned = two.publish("third", HEART) * 1
    poisoned._id = two.data.session_for(()).apply("matmul", operands, ())[0]
    assert type(failure_of(two.stats().mean.remote(poisoned))) is ShapeError


def test_a_private_failure_looks_like_a_private_value(two: Two) -> None:
    errors = []
    for name, allowed in (("closed", ()), ("open", two.actors.peer_id)):
        there = two.data.actors["Stats"].remote()
        there.give.remote(two.publish(name, HEART, allowed_domains=allowed))
        failing = there.double.remote(there.rounded.remote())  # it is no array
        errors.append(type(failure_of(two.stats().mean.remote(failing))))
    assert errors == [MoveNotPermittedError, GetNotPermittedError]


def test_an_actor_stays_in_its_domain(two: Two) -> None:
    there = two.data.actors["Counter"].remote()
    assert type(failure_of(two.stats().mean.remote(there))) is ArgumentError


def test_a_receiver_that_has_no_room_says_so(make_grid: Callable[..., Grid]) -> None:
    two = Two(make_grid(limits=Limits(session_bytes=100_000)))
    for count in (90_011, 20_000):  # by the way of uploads, and inside of the message
        values = LARGE[:count]
        failed = failure_of(two.stats().mean.remote(two.publish(f"of {count}", values)))
        assert type(failed) is QuotaExceededError
    assert list((two.hospital.directory.objects / "spool").glob("*")) == []


def test_a_receiver_whose_disk_is_full_says_so(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    heart, stats = two.publish("heart", LARGE), two.stats()

    def full(*_: object, **__: object) -> None:
        raise DiskFullError(needed=5, free=3)

    monkeypatch.setattr("actors.transfers.Upload", full)
    assert type(failure_of(stats.mean.remote(heart))) is DiskFullError


def test_a_receiver_that_is_gone_is_told(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    heart, stats = two.publish("heart", HEART, allowed_domains=NOBODY), two.stats()
    p2pgrid.get(stats.double.remote(HEART))

    def to_nobody(*args: object, **named: object) -> MoveObject:
        return MoveObject(*args, **{**named, "to": NOBODY})  # type: ignore[arg-type]

    monkeypatch.setattr("p2pgrid.client.moves.MoveObject", to_nobody)
    failed = failure_of(stats.mean.remote(heart))
    assert type(failed) is MoveFailedError
    assert failed.reason == "unreachable"


def test_a_sender_that_dies_is_told(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    heart, stats = two.publish("heart", LARGE), two.stats()
    p2pgrid.get(stats.double.remote(HEART))

    def stop(*_: object) -> None:
        two.data.link().close_soon("the clinic died")

    monkeypatch.setattr("p2pgrid.net.bulk_cargo.Outgoing.by_link", stop)
    failed = failure_of(stats.mean.remote(heart))
    assert type(failed) is MoveFailedError
    assert failed.reason == "unanswered"


def test_a_capability_that_expires_on_the_way_is_told(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    heart, stats = two.publish("heart", HEART), two.stats()
    monkeypatch.setattr("p2pgrid.client.moves.time", SimpleNamespace(time=lambda: 0.0))
    failed = failure_of(stats.mean.remote(heart))
    assert type(failed) is CapabilityError
    assert failed.reason == "expired"


def test_what_arrives_is_let_go_with_the_calls_that_had_it(two: Two) -> None:
    stats = two.stats()
    p2pgrid.wait([stats.mean.remote(two.publish("heart", LARGE))], timeout=20)
    del stats
    two.actors._logins.session()._sweep()
    p2pgrid.get(two.stats().double.remote(HEART))
    assert list((two.hospital.directory.objects / "spool").glob("*")) == []


def test_an_object_moves_on_when_the_program_has_let_go_of_its_pointer(two: Two) -> None:
    stats = two.stats()
    stats.give.remote(two.publish("heart", LARGE) + 1)
    two.data._logins.session()._sweep()
    assert p2pgrid.get(stats.rounded.remote()) == round(float((LARGE + 1).mean()))


def test_what_came_from_another_domain_does_not_go_on(two: Two) -> None:
    stats = two.stats()
    held = stats.mean.remote(two.publish("heart", HEART))
    p2pgrid.wait([held], timeout=20)
    back = two.data.actors["Stats"].remote()
    assert type(failure_of(back.describe.remote(held))) is MoveNotPermittedError

"""What a domain takes from other domains: one value, under one name, by one key, once.

The attacker is another domain, or a scientist with an account; he knows the protocol, has seen
every capability, and holds no keys but his own.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.local import LocalState
from actors.ports import AuditEvent
from p2pgrid import DomainClient
from p2pgrid.client.login import Held
from p2pgrid.config import Limits, Timing
from p2pgrid.errors import (
    CapabilityError,
    DuplicateError,
    GetNotPermittedError,
    MoveFailedError,
    ObjectGoneError,
    PublishNotPermittedError,
    QuotaExceededError,
    TransportError,
)
from p2pgrid.ids import ObjectId, PeerId, public_key_of
from p2pgrid.net.calls import ask
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import ArrayHeader, header_of, raw_bytes
from p2pgrid.protocol.bulk import digest_of
from p2pgrid.protocol.capability import Capability, Link, delegate, encode, mint
from p2pgrid.protocol.messages import (
    Abandon,
    CloseTransfer,
    Deposit,
    Done,
    Durable,
    Message,
    MoveObject,
    Opened,
    OpenUpload,
    Revoke,
    SendChunk,
)
from p2pgrid.protocol.values import ArrayValue, Arriving, ListValue, Ref, Value
from tests.fabric import exported
from tests.fabric.calling import Caller
from tests.fabric.conftest import Grid
from tests.fabric.moving import kept, refused
from tests.fabric.strangers import Stranger

HEART = np.linspace(60.125, 180.375, 53)
ROUNDED = float(round(float(HEART.mean())))
WHOLE = raw_bytes(HEART).tobytes()
VALUE = ArrayValue(header_of(HEART, buffer=0))


class Stage:
    """A hospital, ann who calls an actor there, and a clinic that may deposit for her."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.node = grid.launch("hospital")
        self.node.exports.add(Path(exported.__file__))
        self.node.stop()
        self.node.start()
        self.owner = grid.owner_of(self.node)
        self.domain = grid.user(self.owner, "ann")
        self.ann = Caller(self.domain)
        self.clinic = Stranger(grid, self.node)
        self.stats = self.ann.make("Stats")

    def capability(
        self, out: bytes, *, held: Held | None = None, to: PeerId | None = None, **changes: Any
    ) -> Capability:
        """What ann gives to the clinic, but for the changes."""
        held = held or self.domain.held()
        as_ours = {"objects": (out,), "operations": ("deposit",), "expires": int(time.time()) + 60}
        return delegate(
            held.capability,
            held.key.seed,
            audience=public_key_of(to or self.clinic.peer_id),
            nonce=secrets.token_bytes(8),
            **{**as_ours, **changes},
        )

    def deposit(
        self,
        out: bytes,
        capability: Capability | None = None,
        *,
        by: Stranger | None = None,
        value: Value = VALUE,
        buffers: tuple[bytes, ...] = (WHOLE,),
        uploaded: bool = False,
    ) -> None:
        """Deposits a value, as another domain does."""
        shown = encode(capability or self.capability(out))
        message = Deposit(out, value, shown, uploaded)
        ask((by or self.clinic).link, message, Done, () if uploaded else buffers)

    def upload(self, out: bytes, capability: Capability, size: int = len(WHOLE)) -> Opened:
        """Opens an upload of so many bytes."""
        message = OpenUpload(out, "uint8", (size,), encode(capability))
        return ask(self.clinic.link, message, Opened)

    def send(self, out: bytes, chunk: bytes = WHOLE) -> None:
        """Sends all that was announced."""
        message = SendChunk(out, 0, digest_of(chunk))
        assert ask(self.clinic.link, message, Durable, (chunk,)).offset == len(chunk)

    @property
    def files(self) -> list[str]:
        """What lies in the hospital's directory of objects."""
        found = self.node.directory.objects.rglob("*")
        return [it.name for it in found if it.is_file()]


@pytest.fixture
def stage(grid: Grid) -> Stage:
    return Stage(grid)


def test_a_call_goes_on_when_its_value_has_come(stage: Stage) -> None:
    out = stage.ann.name()
    given = stage.ann.call(stage.stats, "give", Arriving(out))
    rounded = stage.ann.call(stage.stats, "rounded")
    assert stage.ann.ready(given, rounded, timeout_s=0) == set()
    stage.deposit(out)
    assert stage.ann.take(rounded) == ROUNDED


def test_a_value_may_come_before_its_call(stage: Stage) -> None:
    out = stage.ann.name()
    stage.deposit(out)
    stage.ann.call(stage.stats, "give", Arriving(out))
    assert stage.ann.take(stage.ann.call(stage.stats, "rounded")) == ROUNDED


def test_a_call_does_not_wait_for_ever(make_grid: Callable[..., Grid]) -> None:
    stage = Stage(make_grid(timing=Timing(move_s=0.05)))
    waiting = stage.ann.call(stage.stats, "mean", Arriving(stage.ann.name()))
    with refused(MoveFailedError) as caught:
        stage.ann.take(waiting)
    assert vars(caught.value)["reason"] == "unanswered"


def test_an_upload_is_taken_and_leaves_with_its_result(stage: Stage) -> None:
    out = stage.ann.name()
    capability = stage.capability(out)
    assert stage.upload(out, capability).offset == 0
    stage.send(out)
    assert stage.upload(out, capability).offset == len(WHOLE)
    stage.deposit(out, capability, uploaded=True)
    stage.ann.call(stage.stats, "give", Arriving(out))
    assert stage.ann.take(stage.ann.call(stage.stats, "rounded")) == ROUNDED
    assert len(stage.files) == 1
    stage.domain.session_for(()).free_now([out]).settled.wait(10)
    assert stage.files == []


def test_uploads_of_several_domains_go_on_beside_each_other(stage: Stage) -> None:
    clinics = [Stranger(stage.grid, stage.node) for _ in range(6)]
    outs = [stage.ann.name() for _ in clinics]
    pairs = list(zip(clinics, outs, strict=True))
    shown = [encode(stage.capability(out, to=clinic.peer_id)) for clinic, out in pairs]
    steps: list[Callable[[bytes, bytes], tuple[Message, tuple[bytes, ...]]]] = [
        lambda out, token: (OpenUpload(out, "uint8", (len(WHOLE),), token), ()),
        lambda out, _: (SendChunk(out, 0, digest_of(WHOLE)), (WHOLE,)),
        lambda out, token: (Deposit(out, VALUE, token, uploaded=True), ()),
    ]
    for step in steps:
        sent = zip(pairs, shown, strict=True)
        asked = [clinic.link.request(*step(out, token)) for (clinic, out), token in sent]
        for answer in asked:
            answer.result(10)


def test_a_value_of_several_arrays_comes_as_one_row_of_bytes(stage: Stage) -> None:
    out = stage.ann.name()
    headers = (ArrayHeader("float64", (53,), 1), ArrayHeader("uint8", (3,), 0))
    value = ListValue(tuple(map(ArrayValue, headers)))
    capability = stage.capability(out)
    stage.upload(out, capability, 3 + len(WHOLE))
    stage.send(out, b"abc" + WHOLE)
    stage.deposit(out, capability, value=value, uploaded=True)
    assert kept(stage.node.node, out) == [b"abc", WHOLE]


def test_nobody_takes_home_what_came(stage: Stage) -> None:
    out = stage.ann.name()
    stage.deposit(out, value=5, buffers=())
    with refused(GetNotPermittedError):
        stage.ann.take(out)


OTHER = b"of other session"


def _eve(stage: Stage) -> DomainClient:
    return stage.grid.user(stage.owner, "eve")


def _relayed(stage: Stage, out: bytes) -> Capability:
    """Ann let eve's key deposit, and eve gives that on."""
    eve = _eve(stage).held()
    own = bytes.fromhex(eve.key.public_key)
    given = delegate(
        stage.domain.held().capability,
        stage.domain.held().key.seed,
        audience=own,
        nonce=bytes(8),
    )
    return stage.capability(out, held=Held(given, eve.key))


def _elsewhere(stage: Stage, out: bytes) -> Capability:
    other = stage.grid.launch("other")
    seed = other.directory.seed()
    return mint(
        seed,
        domain=other.node.peer_id,
        account="ann",
        audience=public_key_of(stage.clinic.peer_id),
        objects=(out,),
        operations=("deposit",),
        expires=int(time.time()) + 60,
        nonce=bytes(8),
    )


def _forged(stage: Stage, out: bytes) -> Capability:
    """The last link is signed by nobody."""
    good = stage.capability(out)
    *links, last = good.links
    return Capability(good.domain, (*links, Link(last.payload, bytes(64))))


REFUSED: dict[str, Callable[[Stage, ObjectId], Capability]] = {
    "expired": lambda it, out: it.capability(out, expires=int(time.time()) - 1),
    "scope: of another name": lambda it, _: it.capability(it.ann.name()),
    "scope: of two names": lambda it, out: it.capability(out, objects=(out, it.ann.name())),
    "scope: of a session": lambda it, out: it.capability(out, objects=(out[:8],)),
    "scope: of all objects": lambda it, out: it.capability(out, objects=None),
    "scope: for something else": lambda it, out: it.capability(out, operations=("get",)),
    "scope: for more": lambda it, out: it.capability(out, operations=("deposit", "get")),
    "scope: for everything": lambda it, out: it.capability(out, operations=None),
    "audience: of the clinic beside it": lambda it, out: it.capability(
        out, to=Stranger(it.grid, it.node).peer_id
    ),
    "audience: as ann has it herself": lambda it, _: it.domain.held().capability,
    "scope: by somebody else": lambda it, out: it.capability(out, held=_eve(it).held()),
    "scope: by somebody whom ann gave it to": _relayed,
    "another domain": _elsewhere,
    "forged": _forged,
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_capability_is_for_one_deposit_of_one_domain(stage: Stage, what: str) -> None:
    out = stage.ann.name()
    waiting = stage.ann.call(stage.stats, "mean", Arriving(out))
    bad = REFUSED[what](stage, out)
    with refused(CapabilityError) as caught:
        stage.deposit(out, bad)
    assert vars(caught.value)["reason"] == what.partition(":")[0]
    with refused(CapabilityError):
        stage.upload(out, bad)
    assert stage.ann.ready(waiting, timeout_s=0) == set()
    assert stage.files == []


def test_ann_cannot_use_what_is_for_the_clinic(stage: Stage) -> None:
    out = stage.ann.name()
    message = Deposit(out, VALUE, encode(stage.capability(out)))
    with refused(CapabilityError) as caught:
        ask(stage.domain.link(), message, Done, (WHOLE,))
    assert vars(caught.value)["reason"] == "audience"


def test_bytes_that_are_no_capability_are_refused(stage: Stage) -> None:
    with refused(CapabilityError):
        ask(stage.clinic.link, Deposit(OTHER, None, b""), Done)
    with refused(PublishNotPermittedError):
        ask(stage.clinic.link, OpenUpload(OTHER, "uint8", (5,)), Opened)


def test_a_name_is_deposited_once(stage: Stage) -> None:
    out = stage.ann.name()
    capability = stage.capability(out)
    stage.deposit(out, capability)
    with refused(DuplicateError):
        stage.deposit(out, capability)
    with refused(ObjectGoneError):
        stage.deposit(out, stage.capability(out))
    stage.domain.session_for(()).free_now([out]).settled.wait(10)
    for again in (stage.deposit, stage.upload):
        with refused(DuplicateError):
            again(out, capability)


def test_of_two_deposits_at_once_one_is_taken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = LocalState.audit

    async def slow(state: LocalState, event: AuditEvent) -> None:
        await asyncio.sleep(0)  # the others come meanwhile
        await audit(state, event)

    monkeypatch.setattr(LocalState, "audit", slow)
    out = stage.ann.name()
    message = Deposit(out, VALUE, encode(stage.capability(out)))
    answers = [stage.clinic.link.request(message, (WHOLE,)) for _ in range(8)]
    wait(answers, timeout=10)
    assert sum(answer.exception() is None for answer in answers) == 1


def test_what_was_abandoned_does_not_come_any_more(stage: Stage) -> None:
    out = stage.ann.name()
    waiting = stage.ann.call(stage.stats, "mean", Arriving(out))
    stage.upload(out, stage.capability(out))
    assert len(stage.files) == 1
    failure = faults.failure_of(QuotaExceededError(what="patience", needed=5, limit=3))
    ask(stage.domain.link(), Abandon(out, failure), Done)
    with refused(QuotaExceededError):
        stage.ann.take(waiting)
    assert stage.files == []
    for come in (stage.deposit, stage.upload):
        with refused(ObjectGoneError):
            come(out, stage.capability(out))


def test_a_value_that_has_come_is_not_abandoned(stage: Stage) -> None:
    out = stage.ann.name()
    stage.deposit(out)
    ask(stage.domain.link(), Abandon(out, faults.internal("cafe")), Done)
    stage.ann.call(stage.stats, "give", Arriving(out))
    assert stage.ann.take(stage.ann.call(stage.stats, "rounded")) == ROUNDED


def test_a_deposit_is_no_result_of_a_call(stage: Stage) -> None:
    """Else the value would be as free as what the method may return."""
    blocked = stage.ann.call(stage.stats, "give", Arriving(stage.ann.name()))
    released = stage.ann.call(stage.stats, "rounded")
    with refused(ObjectGoneError):
        stage.deposit(released)
    ask(stage.domain.link(), Abandon(released, faults.internal("cafe")), Done)
    assert stage.ann.ready(blocked, released, timeout_s=0) == set()


def test_what_came_does_not_go_on(stage: Stage) -> None:
    out = stage.ann.name()
    stage.deposit(out)
    with refused(ObjectGoneError):
        ask(stage.domain.link(), MoveObject(out, stage.clinic.peer_id, (), b"", out), Done)


def test_a_session_that_has_ended_takes_nothing(stage: Stage) -> None:
    out = stage.ann.name()
    capability = stage.capability(out)
    loop = stage.node.node._loop
    service: Any = stage.node.node._service
    (lease,) = [it for it in service._sessions if it.objects.prefix == out[:8]]
    loop.run(service.end(lease))
    with refused(CapabilityError):
        stage.deposit(out, capability)


def test_nobody_abandons_for_others(stage: Stage) -> None:
    out = stage.ann.name()
    eve = _eve(stage)
    with pytest.raises(TransportError):
        ask(eve.link(), Abandon(out, faults.internal("cafe")), Done)


@pytest.mark.parametrize(
    ("value", "buffers"),
    [
        (VALUE, ()),
        (VALUE, (WHOLE[:-1],)),
        (VALUE, (WHOLE, WHOLE)),
        (ArrayValue(ArrayHeader("float64", (53,), 1)), (WHOLE, WHOLE)),
        (ListValue((VALUE, VALUE)), (WHOLE,)),
        (Ref(OTHER), ()),
        (ListValue((Arriving(OTHER),)), ()),
    ],
)
def test_what_no_domain_of_ours_would_send_is_hung_up_on(
    stage: Stage, value: Value, buffers: tuple[bytes, ...]
) -> None:
    with pytest.raises(TransportError):
        stage.deposit(stage.ann.name(), value=value, buffers=buffers)


def test_an_upload_is_a_row_of_bytes(stage: Stage) -> None:
    out = stage.ann.name()
    shown = encode(stage.capability(out))
    with pytest.raises(TransportError):
        ask(stage.clinic.link, OpenUpload(out, "float64", (5,), shown), Opened)


def test_a_deposit_names_an_upload_that_is_whole(stage: Stage) -> None:
    out = stage.ann.name()
    capability = stage.capability(out)
    for open_ in (False, True):
        if open_:
            stage.upload(out, capability)
        with refused(ObjectGoneError):
            stage.deposit(out, capability, uploaded=True)
    stage.send(out)
    shorter = ArrayValue(ArrayHeader("float64", (52,), 0))
    with refused(ObjectGoneError):
        stage.deposit(out, capability, value=shorter, uploaded=True)
    stage.deposit(out, capability, uploaded=True)


def test_only_who_opened_an_upload_goes_on_with_it(stage: Stage) -> None:
    out = stage.ann.name()
    stage.upload(out, stage.capability(out))
    other = Stranger(stage.grid, stage.node)
    with refused(ObjectGoneError):
        ask(other.link, SendChunk(out, 0, digest_of(WHOLE)), Durable, (WHOLE,))
    ask(other.link, CloseTransfer(out), Done)
    stage.send(out)


def test_a_capability_that_is_revoked_ends_its_upload(stage: Stage) -> None:
    out = stage.ann.name()
    capability = stage.capability(out)
    stage.upload(out, capability)
    assert len(stage.files) == 1
    ask(stage.domain.link(), Revoke(capability.ids[-1], encode(capability)), Done)
    with refused(CapabilityError) as caught:
        stage.upload(out, capability)
    assert vars(caught.value)["reason"] == "revoked"
    assert stage.files == []


def test_uploads_that_were_closed_are_forgotten(stage: Stage) -> None:
    names = [stage.ann.name() for _ in range(5)]
    for out in names:
        stage.upload(out, stage.capability(out))
        ask(stage.clinic.link, CloseTransfer(out), Done)
    service: Any = stage.node.node._service
    assert list(service._deposits._uploads) == names[-1:]
    assert stage.files == []


def test_a_session_has_room_for_so_much(make_grid: Callable[..., Grid]) -> None:
    stage = Stage(make_grid(limits=Limits(session_bytes=1000, session_objects=8)))
    first, second, third = (stage.ann.name() for _ in range(3))
    stage.deposit(first)
    with refused(QuotaExceededError):
        stage.upload(second, stage.capability(second), 600)
    with refused(QuotaExceededError):
        row = ArrayValue(ArrayHeader("uint8", (600,), 0))
        stage.deposit(third, value=row, buffers=(bytes(600),))
    with refused(QuotaExceededError):
        for _ in range(8):
            out = stage.ann.name()
            stage.deposit(out, value=None, buffers=())

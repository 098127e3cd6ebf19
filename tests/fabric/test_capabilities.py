"""Pointers that are given on: what the other may do, by whose right, and until when."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from p2pgrid import Client, DomainClient, TensorPointer, free
from p2pgrid.client.sharing import Shared
from p2pgrid.errors import (
    AccessDenied,
    CapabilityError,
    GetNotPermittedError,
    InternalError,
    ObjectGoneError,
    PermissionDeniedError,
    RemoteIndexError,
    SchemaError,
)
from p2pgrid.net.calls import ask
from p2pgrid.protocol import faults
from p2pgrid.protocol.capability import Capability, Link, decode, encode
from p2pgrid.protocol.messages import Chunk, FetchChunk, OpenDownload, Opened
from p2pgrid.protocol.records import TensorInfo
from tests.fabric.conftest import FabricNode, Grid


class People(NamedTuple):
    """A domain with a dataset of ana's; bob and carol have keys there, and no account."""

    grid: Grid
    node: FabricNode
    owner: DomainClient
    ana: DomainClient
    bob: Client
    carol: Client

    def key_of(self, client: Client) -> str:
        """What somebody sends to whoever shall share something with him."""
        return client.wallet.new(self.owner.peer_id).public_key


@pytest.fixture
def people(grid: Grid) -> People:
    node = grid.launch("clinic")
    owner = grid.owner_of(node)
    owner.publish("open", {"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]}, allowed_users=("ana",))
    owner.publish("closed", [7.0], allowed_users=())
    return People(
        grid, node, owner, grid.user(owner, "ana"), grid.client("bob"), grid.client("carol")
    )


def pointer(domain: DomainClient, name: str = "open") -> TensorPointer:
    pointer: TensorPointer = next(d for d in domain.datasets if d.name == name).pointers[0]
    return pointer


def reason(call: Callable[[], object]) -> str:
    with pytest.raises(CapabilityError) as refused:
        call()
    return refused.value.reason


def test_a_pointer_is_used_by_somebody_without_an_account(people: People) -> None:
    mine = pointer(people.ana) * 2
    text = mine.share(people.key_of(people.bob))
    theirs = people.bob.accept(text)
    assert (theirs.shape, theirs.dtype) == ((3,), np.dtype("float64"))
    assert (theirs + 1).sum().get() == 15.0
    assert theirs.get_copy().tolist() == [2.0, 4.0, 6.0]
    assert mine.get().tolist() == [2.0, 4.0, 6.0]


def test_what_is_taken_home_by_a_capability_is_audited_as_such(people: People) -> None:
    key = people.key_of(people.bob)
    people.bob.accept(pointer(people.ana).share(key)).get()
    event = people.node.state.audit_log()[-1]
    assert event.account.startswith(f"ana via {key[:16]}/")
    assert (event.action, event.outcome) == ("get", "given")


def test_a_capability_gives_no_more_than_its_account_has(people: People) -> None:
    text = pointer(people.ana, "closed").share(people.key_of(people.bob))
    theirs = people.bob.accept(text)
    with pytest.raises(GetNotPermittedError):
        theirs.get()
    assert people.node.state.audit_log()[-1].outcome == "refused"


def test_operations_are_those_that_were_named(people: People) -> None:
    text = pointer(people.ana).share(people.key_of(people.bob), operations=("sum", "get"))
    theirs = people.bob.accept(text)
    total = theirs.sum()
    assert reason(lambda: (total + 1).block) == "scope"
    assert reason(lambda: theirs.mean().block) == "scope"
    assert total.get() == 6.0


def test_who_may_not_get_may_not_get_a_copy_either(people: People) -> None:
    text = pointer(people.ana).share(people.key_of(people.bob), operations=("copy", "sum"))
    theirs = people.bob.accept(text)
    assert reason(theirs.get) == "scope"
    assert reason(theirs.copy().get) == "scope"
    assert reason(theirs.sum().get) == "scope"


def test_a_capability_is_narrowed_and_given_on_offline(people: People) -> None:
    first = people.bob.accept(
        pointer(people.ana).share(people.key_of(people.bob), operations=("sum", "get"))
    )
    people.bob.wallet.keys()
    second = people.carol.accept(
        first.share(people.key_of(people.carol), operations="sum", expires_in_s=60)
    )
    total = second.sum().block
    assert reason(total.get) == "scope"
    assert reason(second.get) == "scope"
    assert reason(lambda: first.share(people.key_of(people.carol), operations="mean")) == "widened"
    assert len(second.capability.grants) == 4


def test_other_objects_of_the_same_account_are_out_of_reach(people: People) -> None:
    mine = (pointer(people.ana) * 2).block
    other = (pointer(people.ana) * 3).block
    theirs = people.bob.accept(mine.share(people.key_of(people.bob)))
    stolen = TensorPointer(theirs._domain, other._id, other._meta)
    assert reason(lambda: (stolen + 1).block) == "scope"
    with pytest.raises((CapabilityError, ObjectGoneError)):
        stolen.get()
    listed = TensorPointer(theirs._domain, pointer(people.ana)._id, other._meta)
    assert reason(lambda: (listed + 1).block) == "scope"
    assert reason(listed.get) == "scope"


def test_a_table_and_a_dataset_are_shared_whole(people: People) -> None:
    dataset = next(d for d in people.ana.datasets if d.name == "open")
    key = people.key_of(people.bob)
    table = dataset.table()
    adults = people.bob.accept(table[table["a"] > 1].share(key))
    assert adults.mean("b").get() == 5.5
    assert {name: values.tolist() for name, values in adults.get().items()} == {
        "a": [2.0, 3.0],
        "b": [5.0, 6.0],
    }
    again = people.bob.accept(dataset.share(key))
    assert (again.name, list(again)) == ("open", ["a", "b"])
    assert again["b"].get().tolist() == [4.0, 5.0, 6.0]


def test_what_was_shared_goes_with_the_session_that_made_it(people: People) -> None:
    mine = (pointer(people.ana) * 2).block
    theirs = people.bob.accept(mine.share(people.key_of(people.bob)))
    theirs.sum().block  # noqa: B018
    free(mine)
    with pytest.raises(ObjectGoneError):
        theirs.sum().block  # noqa: B018


def test_why_a_shared_object_failed_is_told(people: People) -> None:
    mine = (pointer(people.ana) * 2).block
    theirs = people.bob.accept(mine.share(people.key_of(people.bob)))
    lent = people.node.node._service._sessions.lent_by("ana", mine._id[:8])  # type: ignore[attr-defined]
    lent.poison(mine._id, faults.internal("1234abcd"))
    for call in (lambda: theirs.sum().block, theirs.get):
        with pytest.raises(InternalError, match="1234abcd"):
            call()


def test_the_owner_sees_who_holds_what_by_which_right(people: People) -> None:
    longest = people.grid.user(people.owner, "a" * 128)
    theirs = people.bob.accept(pointer(longest).share(people.key_of(people.bob)))
    theirs.sum().block  # noqa: B018
    accounts = [row.account for row in people.owner.objects]
    link = theirs._domain.held().capability.ids[-1].hex()
    assert f"{'a' * 64} via {people.key_of(people.bob)[:16]}/{link}" in accounts


def test_a_login_by_capability_does_nothing_but_what_it_names(people: People) -> None:
    text = pointer(people.owner).share(people.key_of(people.bob))
    domain = people.bob.accept(text)._domain
    assert domain.login() is domain
    with pytest.raises(AccessDenied):
        domain.users.list()
    with pytest.raises(AccessDenied):
        domain.users.add("eve", people.key_of(people.carol), role="owner")
    with pytest.raises(AccessDenied):
        domain.publish("mine", [1.0])
    with pytest.raises(AccessDenied):
        _ = domain.objects
    assert [account.name for account in people.owner.users.list()] == ["ana", "owner"]


def test_hints_that_lie_mislead_nobody_but_whoever_believes_them(people: People) -> None:
    shared = Shared.read(pointer(people.ana).share(people.key_of(people.bob)))
    face = msgspec.msgpack.decode(shared.form, type=TensorInfo)
    lie = msgspec.structs.replace(face, shape=(3, 100))
    form = msgspec.msgpack.encode(lie)
    theirs = people.bob.accept(msgspec.structs.replace(shared, form=form, name="bank").text())
    with pytest.raises(RemoteIndexError):
        theirs[0, 99].block  # noqa: B018
    assert theirs.copy().get().tolist() == [1.0, 2.0, 3.0]


def test_a_text_that_is_damaged_or_for_somebody_else_is_not_accepted(people: People) -> None:
    text = pointer(people.ana).share(people.key_of(people.bob))
    shared = Shared.read(text)
    capability = decode(shared.capability)
    first, last = capability.links
    forged = Capability(capability.domain, (first, Link(last.payload, first.signature)))
    broken = [
        ("forged", people.bob, msgspec.structs.replace(shared, capability=encode(forged)).text()),
        ("audience", people.carol, text),
        ("malformed", people.bob, ""),
        ("malformed", people.bob, text[:-3]),
        ("malformed", people.bob, text.replace("share", "shore")),
        ("oversized", people.bob, text * 1000),
        ("malformed", people.bob, msgspec.structs.replace(shared, kind="engine").text()),
        ("malformed", people.bob, msgspec.structs.replace(shared, form=b"\xc1").text()),
        ("malformed", people.bob, msgspec.structs.replace(shared, capability=b"").text()),
    ]
    for expected, client, given in broken:
        assert reason(lambda client=client, given=given: client.accept(given)) == expected  # type: ignore[misc]


def test_a_share_names_a_key_and_what_there_is_to_give(people: People) -> None:
    with pytest.raises(SchemaError):
        pointer(people.ana).share("bob")
    many = {f"t{number}": [float(number)] for number in range(65)}
    dataset = people.owner.publish("many", many)
    with pytest.raises(CapabilityError):
        dataset.share(people.key_of(people.bob))


def test_a_capability_outlives_a_link_and_its_holder_keeps_his_session(people: People) -> None:
    theirs = people.bob.accept(pointer(people.ana).share(people.key_of(people.bob)))
    total = theirs.sum().block
    people.grid.hang_up(theirs._domain)
    assert total.get() == 6.0


# --- taking back ----------------------------------------------------------------------------------


def test_what_was_shared_is_taken_back_at_once_and_for_good(people: People) -> None:
    text = pointer(people.ana).share(people.key_of(people.bob))
    theirs = people.bob.accept(text)
    before = theirs.sum().block
    further = theirs.share(people.key_of(people.carol))
    people.ana.revoke(text)
    assert reason(before.get) == "revoked"
    assert reason(lambda: theirs.sum().block) == "revoked"
    assert reason(lambda: people.carol.accept(further).get()) == "revoked"
    people.ana.revoke(text)
    people.node.stop()
    people.node.start()
    assert reason(lambda: people.carol.accept(further).get()) == "revoked"


class Stuck:
    """Operations of a node never end; ``begun`` and ``broken_off`` tell of the first."""

    def __init__(self, node: FabricNode) -> None:
        self.begun, self.broken_off = threading.Event(), threading.Event()
        node.node._service._store.execute = self._execute  # type: ignore[attr-defined]

    async def _execute(self, *_: Any) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.broken_off.set()
            raise


def test_work_that_runs_by_a_capability_ends_when_it_is_taken_back(people: People) -> None:
    text = pointer(people.ana).share(people.key_of(people.bob))
    theirs = people.bob.accept(text)
    theirs.sum().block  # noqa: B018
    stuck = Stuck(people.node)
    with ThreadPoolExecutor() as threads:
        running = threads.submit(lambda: theirs.mean().block)
        assert stuck.begun.wait(10)
        people.ana.revoke(text)
        assert stuck.broken_off.wait(5)
        assert reason(lambda: running.result(5)) == "revoked"
    sessions = people.node.node._service._sessions  # type: ignore[attr-defined]
    assert [lease.owner.account for lease in sessions if lease.owner.via] == []


def test_a_download_ends_when_its_capability_is_taken_back(people: People) -> None:
    people.owner.publish("large", np.arange(200_000.0), allowed_users=("ana",))
    mine = pointer(people.ana, "large")
    text = mine.share(people.key_of(people.bob))
    domain = people.bob.accept(text)._domain
    download = OpenDownload(bytes(16), mine._id)
    domain.login()
    assert ask(domain.link(), download, Opened).size == 1_600_000
    assert ask(domain.link(), FetchChunk(bytes(16), 0), Chunk).offset == 0
    people.ana.revoke(text)
    for message in (FetchChunk(bytes(16), 0), download):
        assert reason(lambda message=message: ask(domain.link(), message, Chunk)) == "revoked"  # type: ignore[misc]
    assert people.node.node._transfers._open == {}  # type: ignore[union-attr]


def test_a_program_takes_back_what_an_earlier_one_shared(people: People) -> None:
    text = pointer(people.ana).share(people.key_of(people.bob))
    later = people.grid.client("ana")
    later.revoke(text)
    assert reason(people.bob.accept(text).get) == "revoked"
    with pytest.raises(PermissionDeniedError):  # an id alone proves nothing
        later.revoke(people.ana.held().capability.ids[0].hex(), people.node.address)


def test_only_who_gave_it_and_owners_take_a_capability_back(people: People) -> None:
    text = pointer(people.ana).share(people.key_of(people.bob))
    bobs = people.bob.accept(text)
    further = bobs.share(people.key_of(people.carol))
    carols = people.carol.accept(further)
    with pytest.raises(PermissionDeniedError):
        carols._domain.revoke(further)
    with pytest.raises(PermissionDeniedError):
        bobs._domain.revoke(bobs._domain.held().capability.ids[-1].hex())
    bobs._domain.revoke(further)
    assert reason(carols.get) == "revoked"
    assert bobs.get_copy().tolist() == [1.0, 2.0, 3.0]
    people.owner.revoke(bobs._domain.held().capability.ids[-1].hex())
    assert reason(bobs.get) == "revoked"
    done = [
        (e.account[:7], e.action) for e in people.node.state.audit_log() if e.action == "revoke"
    ]
    assert done == [("ana via", "revoke"), ("owner", "revoke")]

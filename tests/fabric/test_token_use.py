"""Logged in by a token: only what it names, whatever else is asked for."""

from typing import Any

import pytest

from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import (
    AccessDenied,
    CapabilityError,
    GetNotPermittedError,
    ObjectGoneError,
    TransportError,
)
from p2pgrid.net.calls import ask
from p2pgrid.protocol.capability import delegate, encode
from p2pgrid.protocol.messages import (
    Done,
    Enrol,
    Get,
    ListAccounts,
    ListObjects,
    Op,
    Operate,
    Operated,
    Revoke,
    Session,
    Value,
)
from tests.fabric.conftest import Grid
from tests.fabric.strangers import Stranger
from tests.fabric.test_login import a_publish
from tests.fabric.tokens import (
    Stage,
    make_stage,
    public,
    with_link,
)


@pytest.fixture
def stage(grid: Grid) -> Stage:
    return make_stage(grid)


def code_of(
    stranger: Stranger, session: Session, name: str, *inputs: bytes, number: int = 1
) -> int:
    """The code with which one operation fails."""
    out = session.prefix + number.to_bytes(8, "big")
    failed = ask(stranger.link, Operate((Op(name, out, inputs),)), Operated).failed
    return failed[0].failure.code if failed else 0


def test_operands_are_those_that_the_token_names(stage: Stage) -> None:
    dataset = stage.ana.datasets[0].pointers[0]
    secret = (stage.mine * 5).block
    stranger = Stranger(stage.grid, stage.node)
    session = stranger.login(stage.bob_key, capability=encode(stage.bobs))
    assert code_of(stranger, session, "negative", stage.mine._id) == 0
    beyond: list[tuple[str, tuple[bytes, ...]]] = [
        ("mean", (stage.mine._id,)),
        ("negative", (secret._id,)),
        ("negative", (dataset._id,)),
        ("add", (stage.mine._id, secret._id)),
        ("negative", (bytes(16),)),
        ("square", (session.prefix + (1).to_bytes(8, "big"),)),
    ]
    for number, (name, inputs) in enumerate(beyond, start=2):
        code = code_of(stranger, session, name, *inputs, number=number)
        assert code == CapabilityError.code
    for stolen in (secret._id, dataset._id):
        with pytest.raises((CapabilityError, ObjectGoneError)):
            ask(stranger.link, Get(stolen), Value)


def test_naming_what_belongs_to_others_does_not_reach_it(stage: Stage) -> None:
    """Ana's token may name any id; those of the owner's session are not hers to give."""
    owners = (stage.owner.datasets[0].pointers[0] * 7).block
    for named in (owners._id, owners._id[:8]):
        token = delegate(
            stage.minted,
            stage.ana_key.seed,
            audience=public(stage.bob_key),
            objects=(named,),
            nonce=bytes(8),
        )
        stranger = Stranger(stage.grid, stage.node)
        session = stranger.login(stage.bob_key, capability=encode(token))
        assert code_of(stranger, session, "negative", owners._id) == ObjectGoneError.code
        with pytest.raises(ObjectGoneError):
            ask(stranger.link, Get(owners._id), Value)


def test_results_of_one_token_are_out_of_reach_of_another(stage: Stage) -> None:
    first, second = Stranger(stage.grid, stage.node), Stranger(stage.grid, stage.node)
    session = first.login(stage.bob_key, capability=encode(stage.bobs))
    assert code_of(first, session, "negative", stage.mine._id) == 0
    result = session.prefix + (1).to_bytes(8, "big")
    all_of_ana = with_link(
        stage.minted, stage.ana_key, stage.grant_after(stage.minted, objects=(result,))
    )
    other = second.login(stage.carol_key, capability=encode(all_of_ana))
    assert code_of(second, other, "negative", result) == ObjectGoneError.code


def test_a_token_gives_no_power_of_its_account_over_others(stage: Stage) -> None:
    token = with_link(
        owners := stage.owner.held().capability,
        stage.owner.held().key,
        stage.grant_after(owners),
    )
    stranger = Stranger(stage.grid, stage.node)
    stranger.login(stage.carol_key, capability=encode(token))
    for message in (
        ListAccounts(),
        ListObjects(),
        Enrol("eve", public(stage.eve_key), "owner"),
        a_publish(),
        Revoke(bytes(16)),
        Revoke(stage.minted.ids[0], encode(stage.minted)),
    ):
        with pytest.raises(AccessDenied):
            ask(stranger.link, message, Done)
    assert len(stage.owner.users.list()) == 2


def test_a_login_by_a_token_is_no_step_to_another_login(stage: Stage) -> None:
    stranger = Stranger(stage.grid, stage.node)
    stranger.login(stage.bob_key, capability=encode(stage.bobs))
    with pytest.raises(CapabilityError):
        stranger.login(stage.ana_key)
    with pytest.raises(CapabilityError):
        stranger.login(stage.carol_key, capability=encode(stage.carols))
    plain = Stranger(stage.grid, stage.node)
    plain.login(stage.ana_key)
    with pytest.raises(TransportError):  # hung up: no program of ours does it
        plain.login(stage.bob_key, capability=encode(stage.bobs))


def test_a_get_by_the_name_of_the_account_behind_a_token_is_refused(stage: Stage) -> None:
    stranger = Stranger(stage.grid, stage.node)
    session = stranger.login(stage.bob_key, capability=encode(stage.bobs))
    for account in ("ana", "owner"):
        with pytest.raises(AccessDenied):
            ask(stranger.link, Get(stage.mine._id, account), Value)
    ask(stranger.link, Get(stage.mine._id, session.account), Value)


def test_policy_decides_at_the_time_of_use(stage: Stage) -> None:
    stranger = Stranger(stage.grid, stage.node)
    stranger.login(stage.bob_key, capability=encode(stage.bobs))
    service: Any = stage.node.node._service
    dataset = next(iter(service._datasets.entries))
    service._datasets.allowed[dataset] = frozenset()
    with pytest.raises(GetNotPermittedError):
        ask(stranger.link, Get(stage.mine._id), Value)
    service._members.forget("ana")
    with pytest.raises(CapabilityError) as refused:
        ask(stranger.link, Get(stage.mine._id), Value)
    assert refused.value.reason == "account"


def test_a_wallets_key_is_no_audience_of_another_domains_token(stage: Stage) -> None:
    """The same person has another key at every domain: a token does not tell who it is."""
    elsewhere = Wallet(stage.grid.home / "bob.json").new(stage.other.node.peer_id)
    assert public(elsewhere) != public(stage.bob_key)
    with pytest.raises(CapabilityError) as refused:
        Stranger(stage.grid, stage.node).login(
            elsewhere, audience=stage.domain, capability=encode(stage.bobs)
        )
    assert refused.value.reason == "audience"

"""Who may take what home: the laws, over any datasets and any accounts."""

from itertools import count

import numpy as np
import pytest
from hypothesis import given, strategies as st

from p2pgrid.config import Limits
from p2pgrid.errors import GetNotPermittedError, PermissionDeniedError
from p2pgrid.ids import DatasetId, ObjectId
from p2pgrid.policy.access import (
    EVERYBODY,
    Allowed,
    Label,
    Sources,
    may_get,
    require_get,
    require_owner,
)
from p2pgrid.policy.objects import SessionObjects
from p2pgrid.protocol.messages import Account, Op, Operand, Role
from p2pgrid.protocol.operations import ArrayMeta

NAMES = ["ann", "bob", "eve"]
DATASETS = [DatasetId(bytes([number]) * 16) for number in range(4)]
UNKNOWN = DatasetId(b"?" * 16)
OBJECT = ObjectId(bytes(12) + b"\x01\x02\x03\x04")
PREFIX = b"session!"
META = ArrayMeta((2, 2), np.dtype("float64"))
LIMITS = Limits()


def account(name: str, role: Role = "scientist") -> Account:
    return Account(name, bytes(32), role)


names = st.sampled_from(NAMES)
sources = st.frozensets(st.sampled_from([*DATASETS, UNKNOWN]))
policies = st.dictionaries(st.sampled_from(DATASETS), st.frozensets(names))


@given(name=names, sources=sources, allowed=policies)
def test_an_owner_may_get_everything(name: str, sources: Sources, allowed: Allowed) -> None:
    assert may_get(account(name, "owner"), sources, allowed)


@given(name=names, sources=sources, allowed=policies)
def test_a_scientist_needs_the_permission_of_every_source(
    name: str, sources: Sources, allowed: Allowed
) -> None:
    refusing = [s for s in sources if name not in allowed.get(s, frozenset())]
    assert may_get(account(name), sources, allowed) == (bool(sources) and not refusing)


@given(name=names, sources=sources, allowed=policies)
def test_an_unknown_source_allows_nobody(name: str, sources: Sources, allowed: Allowed) -> None:
    assert not may_get(account(name), sources | {UNKNOWN}, allowed)


def test_an_object_without_a_source_is_for_owners_only() -> None:
    everyone = {dataset: frozenset(NAMES) for dataset in DATASETS}
    assert not may_get(account("ann"), frozenset(), everyone)
    assert may_get(account("ann", "owner"), frozenset(), everyone)


@given(name=names, left=sources, right=sources.filter(bool), allowed=policies)
def test_one_more_operand_never_widens_access(
    name: str, left: Sources, right: Sources, allowed: Allowed
) -> None:
    if left and may_get(account(name), left | right, allowed):
        assert may_get(account(name), left, allowed)
        assert may_get(account(name), right, allowed)


@given(name=names, other=names, sources=sources, allowed=policies, data=st.data())
def test_a_permission_helps_only_whom_it_names(
    name: str,
    other: str,
    sources: Sources,
    allowed: dict[DatasetId, frozenset[str]],
    data: st.DataObject,
) -> None:
    dataset = data.draw(st.sampled_from(DATASETS))
    wider = {**allowed, dataset: allowed.get(dataset, frozenset()) | {other}}
    before, after = (may_get(account(name), sources, policy) for policy in (allowed, wider))
    assert after == before if name != other else after >= before


@given(name=names, sources=sources)
def test_a_dataset_that_is_not_private_is_for_every_account(name: str, sources: Sources) -> None:
    allowed = dict.fromkeys(DATASETS, EVERYBODY)
    assert may_get(account(name), sources, allowed) == (bool(sources) and UNKNOWN not in sources)


@pytest.mark.parametrize("name", ["", "an", "ann ", "Ann", "annn"])
def test_a_name_is_compared_whole(name: str) -> None:
    assert not may_get(account(name), frozenset(DATASETS[:1]), {DATASETS[0]: frozenset({"ann"})})


def test_a_refusal_names_object_and_domain_and_nothing_of_the_policy() -> None:
    allowed = {DATASETS[0]: frozenset({"somebody-else"})}
    with pytest.raises(GetNotPermittedError) as caught:
        require_get(account("ann"), OBJECT, frozenset(DATASETS[:1]), allowed, domain="clinic")
    assert vars(caught.value) == {"object_id": "01020304", "domain": "clinic"}
    assert "somebody-else" not in str(caught.value)


@given(name=names, sources=sources, allowed=policies)
def test_what_is_required_is_what_is_allowed(name: str, sources: Sources, allowed: Allowed) -> None:
    who = account(name)
    if may_get(who, sources, allowed):
        require_get(who, OBJECT, sources, allowed, domain="clinic")
    else:
        with pytest.raises(GetNotPermittedError):
            require_get(who, OBJECT, sources, allowed, domain="clinic")


def test_only_an_owner_passes_as_an_owner() -> None:
    owner = account("ann", "owner")
    assert require_owner(owner, action="publishing", domain="clinic") is owner
    for nobody in (None, account("ann")):
        with pytest.raises(PermissionDeniedError) as caught:
            require_owner(nobody, action="publishing", domain="clinic")
        assert (caught.value.action, caught.value.domain) == ("publishing", "clinic")


# --- sources of what was computed -------------------------------------------------------------

CATALOG = {
    ObjectId(dataset): Label(META, frozenset({dataset}), borrowed=True) for dataset in DATASETS
}
OPERATIONS = {
    "add": ((), 2),
    "multiply": ((), 2),
    "where": ((), 3),
    "matmul": ((), 2),
    "transpose": ((), 1),
    "copy": ((), 1),
    "getitem": (("...",), 1),
}


@given(data=st.data())
def test_an_object_has_the_sources_of_all_that_it_was_made_of(data: st.DataObject) -> None:
    objects = SessionObjects(PREFIX, CATALOG, limits=LIMITS, domain="clinic")
    derived: dict[bytes, Sources] = {id_: label.sources for id_, label in CATALOG.items()}
    allowed = data.draw(policies)
    numbers = count(1)
    for name in data.draw(st.lists(st.sampled_from(sorted(OPERATIONS)), max_size=12)):
        params, arity = OPERATIONS[name]
        inputs: list[Operand] = [data.draw(st.sampled_from(list(derived))) for _ in range(arity)]
        expected = frozenset().union(*(derived[i] for i in inputs if isinstance(i, bytes)))
        if name == "add" and data.draw(st.booleans()):
            inputs[1] = 2.0
            expected = derived[bytes(inputs[0])] if isinstance(inputs[0], bytes) else expected
        out = PREFIX + next(numbers).to_bytes(8, "big")
        assert objects.admit(Op(name, out, tuple(inputs), params)) is None
        label = objects.find(out)
        assert label.sources == expected
        derived[out] = expected
        for who in map(account, NAMES):
            if may_get(who, label.sources, allowed):
                assert all(
                    may_get(who, derived[i], allowed) for i in inputs if isinstance(i, bytes)
                )

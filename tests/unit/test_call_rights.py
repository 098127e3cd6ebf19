"""Who may call what, and who may read what it returns: the laws, over any accounts and datasets."""

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from p2pgrid.errors import (
    ActorUnschedulableError,
    GetNotPermittedError,
    PermissionDeniedError,
    SchemaError,
)
from p2pgrid.ids import DatasetId
from p2pgrid.policy.access import Allowed, Sources, may_get
from p2pgrid.policy.calls import (
    Callee,
    ExportedClass,
    Gathered,
    MethodRights,
    Names,
    may_call,
    may_read,
    require_call,
    require_feasible,
    require_read,
)
from p2pgrid.protocol.messages import Account, ActorOptions, Role
from p2pgrid.protocol.signatures import ActorClassInfo, MethodInfo

NAMES = ["ann", "bob", "eve"]
DATASETS = [DatasetId(bytes([number]) * 16) for number in range(4)]
METHOD = "act"


def account(name: str, role: Role = "scientist") -> Account:
    return Account(name, bytes(32), role)


def callee(cls: Names | None, method: Names | None, *, releases: bool = False) -> Callee:
    info = ActorClassInfo("C", (), (MethodInfo(METHOD, (), "int", releases=releases),))
    return Callee(ExportedClass(info, cls, {METHOD: MethodRights(method, releases)}), METHOD)


names = st.sampled_from(NAMES)
lists = st.none() | st.lists(names, max_size=3).map(tuple)
sources = st.frozensets(st.sampled_from(DATASETS))
policies = st.dictionaries(st.sampled_from(DATASETS), st.frozensets(names))
callees = st.builds(callee, lists, lists, releases=st.booleans())
NOBODY: Names = ()


@given(name=names, called=callees)
def test_an_owner_may_call_everything(name: str, called: Callee) -> None:
    assert may_call(account(name, "owner"), called)


@given(name=names, cls=lists, method=lists)
def test_a_scientist_needs_the_right_to_the_class_and_to_the_method(
    name: str, cls: Names | None, method: Names | None
) -> None:
    expected = (cls is None or name in cls) and (method is None or name in method)
    called = callee(cls, method)
    assert may_call(account(name), called) is expected
    assert may_call(account(name), Callee(called.cls)) is (cls is None or name in cls)


@given(name=names, called=callees)
def test_a_method_that_is_not_exported_may_be_called_by_no_scientist(
    name: str, called: Callee
) -> None:
    assert not may_call(account(name), Callee(called.cls, "other"))


@given(name=names, called=callees, derived=sources, allowed=policies)
def test_a_result_is_read_only_by_who_may_call_and_may_get_its_sources(
    name: str, called: Callee, derived: Sources, allowed: Allowed
) -> None:
    person = account(name)
    reads = may_read(person, called, derived, allowed)
    if reads:
        assert may_call(person, called)
        assert called.releases or all(name in allowed.get(it, ()) for it in derived)
    elif may_call(person, called):
        assert derived
        assert not called.releases
        assert not may_get(person, derived, allowed)


@given(name=names, called=callees, derived=sources, more=sources, allowed=policies)
def test_more_sources_never_let_more_people_read(
    name: str, called: Callee, derived: Sources, more: Sources, allowed: Allowed
) -> None:
    if may_read(account(name), called, derived | more, allowed):
        assert may_read(account(name), called, derived, allowed)


def test_refusals_name_the_method_and_the_object_only() -> None:
    with pytest.raises(PermissionDeniedError, match=r"calling C\.act"):
        require_call(account("eve"), callee(NOBODY, None), domain="clinic")
    with pytest.raises(GetNotPermittedError, match="01010101"):
        require_read(
            account("eve"),
            bytes([1]) * 16,
            callee(None, None),
            frozenset(DATASETS[:1]),
            {},
            domain="clinic",
        )


class ActorLife(RuleBasedStateMachine):
    """A result has all the sources that the actor was given before it or with it."""

    def __init__(self) -> None:
        super().__init__()
        self.gathered = Gathered()
        self.given: list[Sources] = []
        self.results: list[Sources] = []

    @rule(brought=sources)
    def call(self, brought: Sources) -> None:
        self.given.append(brought)
        self.results.append(self.gathered.give(brought))

    @invariant()
    def results_carry_all_that_came_before(self) -> None:
        for number, result in enumerate(self.results):
            assert result == frozenset().union(*self.given[: number + 1])


TestActorLife = ActorLife.TestCase
TestActorLife.settings = settings(max_examples=50, stateful_step_count=20)


# --- resources --------------------------------------------------------------------------------

BIG, SMALL = {"CPU": 8.0, "memory": 4e9}, {"CPU": 1.0, "GPU": 1.0, "memory": 1e9}


@pytest.mark.parametrize(
    "options",
    [
        ActorOptions(),
        ActorOptions(num_cpus=8),
        ActorOptions(num_gpus=0.5, num_cpus=1),
        ActorOptions(memory=4_000_000_000),
    ],
)
def test_what_one_machine_has_is_feasible(options: ActorOptions) -> None:
    require_feasible(options, [BIG, SMALL])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (ActorOptions(num_cpus=9), ("CPU", 9, 8)),
        (ActorOptions(num_gpus=2), ("GPU", 2, 1)),
        (ActorOptions(memory=5_000_000_000), ("memory", 5e9, 4e9)),
        (ActorOptions(num_cpus=2, num_gpus=1), ("CPU", 2, 8)),  # on no machine together
    ],
)
def test_what_no_machine_has_is_told(options: ActorOptions, told: tuple[str, float, float]) -> None:
    with pytest.raises(ActorUnschedulableError) as refused:
        require_feasible(options, [BIG, SMALL])
    error = refused.value
    assert (error.resource, error.asked, error.available) == told


def test_parts_of_more_than_one_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"GPU: is 1\.5"):
        require_feasible(ActorOptions(num_gpus=1.5), [{"GPU": 8.0}])


def test_a_domain_without_machines_holds_nothing() -> None:
    with pytest.raises(ActorUnschedulableError):
        require_feasible(ActorOptions(num_cpus=1), [])

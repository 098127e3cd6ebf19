"""A session by a capability admits what a model of sets admits, and finds what it may find."""

import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid.config import Limits
from p2pgrid.errors import CapabilityError, InternalError, ObjectGoneError
from p2pgrid.ids import DatasetId, ObjectId
from p2pgrid.policy.access import Label
from p2pgrid.policy.granted import GrantedObjects
from p2pgrid.policy.objects import SessionObjects
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import dtype_named
from p2pgrid.protocol.grants import Scope
from p2pgrid.protocol.messages import Op
from p2pgrid.protocol.operations import ArrayMeta
from p2pgrid.protocol.rights import Rights
from tests.unit.test_capability import DOMAIN, KEYS

META = ArrayMeta((3,), dtype_named("float64"))
TENSOR, OTHER_TENSOR = ObjectId(b"t" * 16), ObjectId(b"u" * 16)
SOURCE = frozenset({DatasetId(b"d" * 16)})
CATALOG = {TENSOR: Label(META, SOURCE, True), OTHER_TENSOR: Label(META, SOURCE, True)}
OWN, ANAS, EVES = b"own-----", b"anas----", b"eves----"
UNARY = ["negative", "absolute", "square"]
LIMITS = Limits()


def name_of(prefix: bytes, number: int) -> bytes:
    return prefix + number.to_bytes(8, "big")


def session_of(prefix: bytes) -> SessionObjects:
    """A session with two results."""
    objects = SessionObjects(prefix, CATALOG, limits=LIMITS, domain="d")
    for number in (1, 2):
        assert objects.admit(Op("negative", name_of(prefix, number), (TENSOR,))) is None
    return objects


SESSIONS = {("ana", ANAS): session_of(ANAS), ("eve", EVES): session_of(EVES)}
LENT = [name_of(ANAS, 1), name_of(ANAS, 2)]
NAMES = [TENSOR, OTHER_TENSOR, *LENT, name_of(EVES, 1), ANAS, EVES]


def granted(
    objects: tuple[bytes, ...] | None, operations: tuple[str, ...] | None
) -> GrantedObjects:
    scope = Scope(
        None if objects is None else frozenset(objects),
        None if operations is None else frozenset(operations),
    )
    return GrantedObjects(
        OWN,
        CATALOG,
        rights=Rights(DOMAIN, "ana", KEYS[2], (), (), scope),
        lent_by=lambda account, prefix: SESSIONS.get((account, prefix)),
        limits=LIMITS,
        domain="d",
    )


def subsets(values: list[bytes]) -> st.SearchStrategy[tuple[bytes, ...] | None]:
    return st.none() | st.lists(st.sampled_from(values), max_size=3).map(tuple)


@settings(max_examples=300)
@given(
    objects=subsets(NAMES),
    operations=st.none() | st.lists(st.sampled_from(UNARY), max_size=2).map(tuple),
    name=st.sampled_from(UNARY),
    operand=st.sampled_from([TENSOR, OTHER_TENSOR, *LENT, name_of(EVES, 1), bytes(16)]),
)
def test_what_is_admitted_is_what_was_granted(
    objects: tuple[bytes, ...] | None,
    operations: tuple[str, ...] | None,
    name: str,
    operand: bytes,
) -> None:
    session = granted(objects, operations)
    failure = session.admit(Op(name, name_of(OWN, 1), (operand,)))
    is_named = objects is not None and (operand in objects or operand[:8] in objects)
    in_scope = (operations is None or name in operations) and (objects is None or is_named)
    exists = operand in CATALOG or (operand in LENT and is_named)
    if in_scope and exists:
        assert failure is None
        assert session.find(name_of(OWN, 1)).sources == SOURCE
    else:
        expected = ObjectGoneError if in_scope else CapabilityError
        assert failure is not None
        assert failure.code == expected.code
        with pytest.raises(expected):
            session.find(name_of(OWN, 1))


def test_own_results_take_the_operations_of_the_capability_and_no_others() -> None:
    session = granted((TENSOR,), ("negative", "get"))
    assert session.admit(Op("negative", name_of(OWN, 1), (TENSOR,))) is None
    assert session.admit(Op("negative", name_of(OWN, 2), (name_of(OWN, 1),))) is None
    failure = session.admit(Op("square", name_of(OWN, 3), (name_of(OWN, 1),)))
    assert failure is not None
    assert failure.code == CapabilityError.code
    session.require(name_of(OWN, 1), "get")
    session.require(TENSOR, "get")
    for object_id, operation in ((OTHER_TENSOR, "get"), (TENSOR, "move"), (LENT[0], "get")):
        with pytest.raises(CapabilityError):
            session.require(object_id, operation)


def test_every_operand_has_to_be_granted() -> None:
    session = granted((TENSOR,), None)
    failure = session.admit(Op("add", name_of(OWN, 1), (TENSOR, OTHER_TENSOR)))
    assert failure is not None
    assert failure.code == CapabilityError.code


def test_the_failure_of_a_lent_object_is_told_to_whom_it_was_lent() -> None:
    lender = session_of(ANAS)
    lender.poison(LENT[0], faults.internal("0a0b"))
    sessions = {("ana", ANAS): lender}
    session = granted((LENT[0],), None)
    session._lent_by = lambda account, prefix: sessions.get((account, prefix))
    failure = session.admit(Op("negative", name_of(OWN, 1), (LENT[0],)))
    assert failure == faults.internal("0a0b")
    with pytest.raises(InternalError, match="0a0b"):
        session.find(LENT[0])
    blind = granted((LENT[1],), None)
    blind._lent_by = session._lent_by
    failure = blind.admit(Op("negative", name_of(OWN, 1), (LENT[0],)))
    assert failure is not None
    assert failure.code == CapabilityError.code

"""A remote person reads what the table allows, and the errors are those of the drawn tree."""

import copy
import inspect
import pickle
import re
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, strategies as st

from p2pgrid import errors
from p2pgrid.errors import InternalError, P2PGridError
from p2pgrid.protocol import faults
from p2pgrid.protocol.faults import PUBLIC_FIELDS, error_of, failure_of, internal, is_public
from p2pgrid.protocol.messages import Failure

Class = type[P2PGridError]

CLASSES: list[Class] = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, P2PGridError) and cls.__module__.startswith(f"{errors.__name__}.")
]
PUBLIC = sorted(PUBLIC_FIELDS, key=lambda cls: cls.code)
NUMBERS = {"size", "limit", "needed", "free", "asked", "available", "wait_s"}
SECRET = "row 7: 140 mmHg"  # noqa: S105 what must not get out

wire_texts = st.text(max_size=400)
wire_ints = st.integers(-(2**63 - 1), 2**63 - 1)
wire_values = wire_texts | wire_ints | st.floats()


def by_name(cls: Class) -> str:
    return cls.__name__


def an_error(cls: Class, **given_fields: Any) -> P2PGridError:
    """An instance, with arguments after the signature of its class."""
    if cls.__init__ is Exception.__init__:
        return cls("what happened")
    values: dict[str, Any] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        kind = str(parameter.annotation)
        value: Any = {"int": 3, "float": 2.5, "bool": False, "tuple[str, ...]": ("a",)}.get(
            re.sub(r"<class '(\w+)'>", r"\1", kind), f"some {name}"
        )
        values[name] = given_fields.get(name, value)
    message = [values.pop("message")] if "message" in values else []
    return cls(*message, **values)


def crossed(failure: Failure) -> Failure:
    """The failure as it arrives at the other side."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=Failure)


# --- the tree ---------------------------------------------------------------------------------


class Drawn(NamedTuple):
    name: str
    parent: str | None
    other_base: str | None
    code: str


def drawn_tree() -> list[Drawn]:
    """The classes of the tree in the docstring of ``errors``, with their parents."""
    assert errors.__doc__ is not None
    above: list[str] = []
    drawn: list[Drawn] = []
    for line in errors.__doc__.splitlines():
        match = re.match(r"([│├└─ ]*)(\w+)(?: \((\w+)\))? *(\d(?:\d\d|xx))?(?: |$)", line)
        if match and (match[4] or match[2] == "P2PGridError"):
            depth = len(match[1]) // 4
            parent = above[depth - 1] if depth else None
            drawn.append(Drawn(match[2], parent, match[3], match[4] or ""))
            above[depth:] = [match[2]]
    return drawn


DRAWN = {entry.name: entry for entry in drawn_tree()}


def test_the_drawn_tree_has_exactly_the_classes() -> None:
    assert sorted(DRAWN) == sorted(map(by_name, CLASSES))
    assert len(drawn_tree()) == len(DRAWN)


@pytest.mark.parametrize("cls", CLASSES, ids=by_name)
def test_a_class_is_drawn_below_its_bases(cls: Class) -> None:
    drawn = DRAWN[cls.__name__]
    bases = [base.__name__ for base in cls.__bases__]
    if drawn.parent is None:
        assert cls is P2PGridError
    else:
        assert bases == [drawn.parent] + ([drawn.other_base] if drawn.other_base else [])


@pytest.mark.parametrize("cls", CLASSES, ids=by_name)
def test_a_class_is_drawn_with_its_own_code(cls: Class) -> None:
    assert "code" in vars(cls)
    assert DRAWN[cls.__name__].code.replace("xx", "00") == (str(cls.code) if cls.code else "")


def test_no_two_errors_share_a_code() -> None:
    codes = [cls.code for cls in CLASSES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("cls", CLASSES, ids=by_name)
def test_a_code_begins_with_the_digit_of_its_family(cls: Class) -> None:
    families = P2PGridError.__subclasses__()
    assert {cls.code // 100} == {f.code // 100 for f in families if issubclass(cls, f)} or (
        cls is P2PGridError
    )


@pytest.mark.parametrize("cls", CLASSES, ids=by_name)
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],  # noqa: S301
    ids=["copied", "deeply copied", "pickled"],
)
def test_an_error_survives_being(cls: Class, again: Any) -> None:
    error = an_error(cls)
    error.add_note("on the way")
    same = again(error)
    assert (type(same), str(same), same.args) == (cls, str(error), error.args)
    assert vars(same) == vars(error)


@pytest.mark.parametrize("cls", CLASSES, ids=by_name)
def test_the_arguments_of_an_error_are_its_attributes(cls: Class) -> None:
    error = an_error(cls)
    for name, value in vars(error).items():
        assert getattr(error, name) == value
    for name in PUBLIC_FIELDS.get(cls, ()):
        assert name in vars(error)


# --- over the wire ----------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES, ids=by_name)
def test_an_error_is_in_the_table_or_is_not_told(cls: Class) -> None:
    error = an_error(cls)
    assert is_public(error) == (cls in PUBLIC_FIELDS)
    if cls not in PUBLIC_FIELDS:
        got = error_of(crossed(internal("ref")))
        assert isinstance(got, InternalError)
        assert got.reference == "ref"
        with pytest.raises(KeyError):
            failure_of(error)


def test_a_subclass_of_a_public_error_is_not_public_by_itself() -> None:
    class LoudBusyError(errors.BusyError):
        """Might say more than its parent."""

    assert is_public(errors.BusyError(limit=1))
    assert not is_public(LoudBusyError(limit=1))


@pytest.mark.parametrize("error", [ValueError(SECRET), KeyError(SECRET), SystemExit(SECRET)])
def test_an_error_of_somebody_else_is_not_public(error: BaseException) -> None:
    assert not is_public(error)


@pytest.mark.parametrize("cls", PUBLIC, ids=by_name)
@given(data=st.data())
def test_an_error_of_the_table_arrives_as_it_was(cls: Class, data: st.DataObject) -> None:
    fields = {
        name: data.draw(wire_ints if name in NUMBERS else wire_texts) for name in PUBLIC_FIELDS[cls]
    }
    error = an_error(cls, **fields)
    got = error_of(crossed(failure_of(error)))
    assert (type(got), str(got)) == (cls, str(error))
    assert {name: getattr(got, name) for name in fields} == fields


@pytest.mark.parametrize("cls", PUBLIC, ids=by_name)
def test_a_failure_carries_the_table_s_fields_and_nothing_else(cls: Class) -> None:
    error = an_error(cls)
    error.__cause__ = ValueError(SECRET)
    error.__context__ = KeyError(SECRET)
    error.args = (*error.args, SECRET)
    error.add_note(SECRET)
    error.secret = SECRET  # type: ignore[attr-defined]
    failure = failure_of(error)
    assert failure.code == cls.code
    assert set(failure.fields) == set(PUBLIC_FIELDS[cls])
    assert SECRET.encode() not in msgspec.msgpack.encode(failure)
    assert SECRET not in str(error_of(failure))


@pytest.mark.parametrize("cls", PUBLIC, ids=by_name)
def test_long_texts_and_large_numbers_are_cut_to_what_the_wire_takes(cls: Class) -> None:
    for number in (1 << 200, -(1 << 200)):
        fields = {name: number if name in NUMBERS else "é" * 1000 for name in PUBLIC_FIELDS[cls]}
        got = error_of(crossed(failure_of(an_error(cls, **fields))))
        assert type(got) is cls
        for name in fields:
            told = getattr(got, name)
            assert told == "é" * 400 or abs(told) == 2**63 - 1


@pytest.mark.parametrize("cls", PUBLIC, ids=by_name)
@given(data=st.data())
def test_fields_of_other_types_never_crash(cls: Class, data: st.DataObject) -> None:
    fields = {name: data.draw(wire_values) for name in PUBLIC_FIELDS[cls]}
    got = error_of(crossed(Failure(cls.code, fields)))
    assert type(got) in (cls, InternalError)
    assert str(got)


@given(
    code=st.sampled_from([cls.code for cls in CLASSES]) | wire_ints,
    fields=st.dictionaries(
        st.sampled_from(sorted(set().union(*PUBLIC_FIELDS.values()) | {"reference", "__class__"}))
        | st.text(max_size=32),
        wire_values,
        max_size=8,
    ),
)
def test_any_failure_of_a_peer_is_some_error(code: int, fields: dict[str, Any]) -> None:
    got = error_of(crossed(Failure(code, fields)))
    if type(got) is InternalError:
        assert len(got.reference) <= 40
    else:
        assert got.code == code
        assert set(fields) == set(PUBLIC_FIELDS[type(got)])


@pytest.mark.parametrize("cls", PUBLIC, ids=by_name)
@pytest.mark.parametrize("fields", [{}, {"message": SECRET}, {"self": 1}, {"reference": "x" * 400}])
def test_a_failure_with_other_fields_is_an_internal_error(
    cls: Class, fields: dict[str, Any]
) -> None:
    got = error_of(Failure(cls.code, fields))
    assert type(got) is InternalError
    assert got.reference == str(fields.get("reference", "unknown"))[:40]
    assert SECRET not in str(got)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls not in PUBLIC_FIELDS], ids=by_name)
def test_a_peer_cannot_raise_what_is_not_in_the_table(cls: Class) -> None:
    fields = dict.fromkeys(vars(an_error(cls)), "x")
    got = error_of(Failure(cls.code, dict(list(fields.items())[:8])))
    assert type(got) is InternalError


def test_the_table_s_codes_are_one_to_one() -> None:
    assert len(faults._BY_CODE) == len(PUBLIC_FIELDS)
    assert InternalError.code not in faults._BY_CODE

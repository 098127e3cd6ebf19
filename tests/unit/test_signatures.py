"""Types and signatures: what is read, what they accept, and what an error says."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from p2pgrid.errors import ArgumentError, SchemaError
from p2pgrid.protocol.arrays import ArrayHeader
from p2pgrid.protocol.signatures import (
    MAX_TYPE,
    MAX_TYPE_DEPTH,
    ActorClassInfo,
    MethodInfo,
    Parameter,
    check_arguments,
    kind_of,
    type_named,
)
from p2pgrid.protocol.values import (
    ArrayValue,
    Arriving,
    BytesValue,
    DictValue,
    ListValue,
    Ref,
    TupleValue,
    Value,
)

ARRAY = ArrayValue(ArrayHeader("float32", (2,), 0))
BYTES = BytesValue(b"raw")
ONES: dict[str, Value] = {
    "None": None,
    "bool": True,
    "int": 1,
    "float": 0.5,
    "str": "row 7: 140 mmHg",
    "bytes": BYTES,
    "array": ARRAY,
    "list[int]": ListValue((1,)),
    "tuple[int, str]": TupleValue((1, "x")),
    "dict[str, int]": DictValue({"k": 1}),
}
PARAMETERS = (
    Parameter("by", "int"),
    Parameter("times", "int | None", has_default=True),
    Parameter("label", "str", has_default=True),
)

types = st.recursive(
    st.sampled_from(["None", "bool", "int", "float", "str", "bytes", "array", "any"]),
    lambda inner: (
        inner.map("list[{}]".format)
        | inner.map("dict[str, {}]".format)
        | st.lists(inner, min_size=1, max_size=3).map(lambda it: f"tuple[{', '.join(it)}]")
        | st.lists(inner, min_size=2, max_size=3).map(" | ".join)
    ),
    max_leaves=4,
)


def check(*args: Value, **kwargs: Value) -> None:
    check_arguments(PARAMETERS, args, kwargs, call="Counter.incr")


# --- reading types ----------------------------------------------------------------------------


@given(types.filter(lambda text: len(text) <= MAX_TYPE))
def test_every_type_is_read_and_spaces_do_not_matter(text: str) -> None:
    assert type_named(text) == type_named(text.replace(" ", "")) == type_named(f" {text} "[:200])


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "Int", "set[int]", "list", "list[]", "list[int", "list int]", "list[int]]"),
        *("list[int, int]", "dict[str]", "dict[int, int]", "dict[str | int, int]", "tuple[]"),
        *("int |", "| int", "int int", "int,", "Optional[int]", "list[list]", "os.system"),
        *("int | __import__('os')", "dict[any, int]", "any[int]", "int[int]", "[int]"),
        *("list[" * 9 + "int" + "]" * 9, "int | " * 40 + "int", "[" * 200),
    ],
)
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(SchemaError, match="travel"):
        type_named(text)


def test_types_are_read_up_to_a_depth() -> None:
    levels = MAX_TYPE_DEPTH - 1
    type_named("list[" * levels + "int" + "]" * levels)
    with pytest.raises(SchemaError):
        type_named("list[" * (levels + 1) + "int" + "]" * (levels + 1))


@given(st.text(alphabet="listdcuplenoay[], |NS", max_size=40) | st.text(max_size=40))
def test_any_text_is_a_type_or_a_typed_error(text: str) -> None:
    try:
        type_named(text)
    except SchemaError:
        return
    assert len(text) <= MAX_TYPE


# --- what types accept ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ONES)
@pytest.mark.parametrize("own", ONES)
def test_a_type_accepts_its_own_values_and_an_int_is_a_float(text: str, own: str) -> None:
    expected = text == own or (text, own) == ("float", "int")
    assert type_named(text).accepts(ONES[own]) is expected
    assert type_named("any").accepts(ONES[own])
    assert type_named(f"None | {text}").accepts(ONES[own]) is (expected or own == "None")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("list[int]", ListValue((1, "x"))),
        ("list[list[int]]", ListValue((ListValue((1, None)),))),
        ("tuple[int, str]", TupleValue((1,))),
        ("tuple[int]", TupleValue((1, 1))),
        ("dict[str, int]", DictValue({"k": 1, "l": 0.5})),
        ("list[int]", TupleValue((1,))),
        ("int", True),
    ],
)
def test_what_is_inside_is_looked_at(text: str, value: Value) -> None:
    assert not type_named(text).accepts(value)


@pytest.mark.parametrize("text", ["int", "list[array]", "None"])
def test_a_reference_is_of_any_type_until_it_is_resolved(text: str) -> None:
    assert type_named(text).accepts(Ref(bytes(16)))
    assert type_named(text).accepts(Arriving(bytes(16)))


# --- calls ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1,), {}),
        ((1, None, "x"), {}),
        ((), {"by": 1}),
        ((1,), {"label": "x"}),
        ((Ref(bytes(16)),), {}),
    ],
)
def test_a_call_that_fits_passes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    check(*args, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "problem"),
    [
        ((), {}, "needs by: int"),
        ((1, 2, "x", 3), {}, "takes 3 positional arguments, 4 were given"),
        ((1,), {"by": 1}, "got two values for by"),
        ((1,), {"bye": 1}, "has no parameter bye"),
        ((1,), {"x" * 100: 1}, "has no parameter " + "x" * 64),
        (("row 7",), {}, "needs by: int, got str"),
        ((True,), {}, "needs by: int, got bool"),
        ((1,), {"times": ARRAY}, r"needs times: int \| None, got array"),
        ((1,), {"label": None}, "needs label: str, got None"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_by_names_and_types(
    args: tuple[Any, ...], kwargs: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ArgumentError, match=f"^Counter.incr {problem}$"):
        check(*args, **kwargs)


@pytest.mark.parametrize("own", ONES)
def test_an_error_never_tells_a_value(own: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        check_arguments((Parameter("x", "list[None]"),), (ONES[own],), {}, call="C.f")
    assert "mmHg" not in str(caught.value)
    assert kind_of(ONES[own]) in str(caught.value)


def test_a_method_is_found_by_its_name() -> None:
    counter = ActorClassInfo("Counter", (), (MethodInfo("incr", PARAMETERS, "int"),))
    assert counter.method("incr") == counter.methods[0]
    assert counter.method("decr") is None

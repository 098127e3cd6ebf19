"""Random calls of operations as numpy writes them, and what numpy itself makes of them."""

import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from p2pgrid.protocol.arrays import DTYPES, Array
from p2pgrid.protocol.operations import INTEGERS, REGISTRY

NUMPY_ERRORS = (ValueError, TypeError, IndexError, ArithmeticError)

UNARY = [
    name
    for name, entry in REGISTRY.items()
    if isinstance(getattr(np, name, 0), np.ufunc) and 1 in entry.arity
]
BINARY = [
    name
    for name, entry in REGISTRY.items()
    if isinstance(getattr(np, name, 0), np.ufunc) and 2 in entry.arity
]
MASKABLE = ["sum", "prod", "min", "max", "any", "all", "mean", "var", "std"]
PLACES = ["argmin", "argmax"]
RUNNING = ["cumsum", "cumprod"]
GROUPED = [name for name in REGISTRY if name.startswith("group_")]


class Written(NamedTuple):
    """A call as a person writes it."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = MappingProxyType({})


def by_numpy(call: Written) -> Array:
    """What numpy makes of it, written without the registry."""
    special: dict[str, Callable[..., Any]] = {
        "power": operator.pow,
        "matmul": operator.matmul,
        "getitem": operator.getitem,
        "min": extreme(np.min),
        "max": extreme(np.max),
        **{name: by_group(name.removeprefix("group_")) for name in GROUPED},
    }
    function = special.get(call.name) or getattr(np, call.name)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty|invalid value|Degrees", RuntimeWarning)
        result = np.asarray(function(*call.args, **call.kwargs))
    if result.dtype.name not in DTYPES:
        raise TypeError("numpy made objects of integers that fit no dtype")
    return result


def extreme(function: Callable[..., Any]) -> Callable[..., Any]:
    """``np.min`` or ``np.max`` with the ``initial`` that the documentation of ours promises."""

    def with_initial(x: Any, *args: Any, **kwargs: Any) -> Any:
        if "where" in kwargs:
            least, most = -np.inf, np.inf
            if x.dtype.kind in "iu":
                least, most = np.iinfo(x.dtype).min, np.iinfo(x.dtype).max
            if x.dtype.kind == "b":
                least, most = False, True
            kwargs["initial"] = most if function is np.min else least
        return function(x, *args, **kwargs)

    return with_initial


def by_group(name: str) -> Callable[..., Any]:
    """Numpy's reduction of the elements of each key, one key after the other."""

    def grouped(x: Any, groups: Any, keys: Any, *more: Any, where: Any = True, **how: Any) -> Any:
        named = np.asarray(keys, np.int64).astype(groups.dtype)
        if x.ndim != 1 or x.shape != groups.shape or np.any(named != keys):
            raise ValueError("groups are named by flat arrays, and by keys of their dtype")
        where = np.broadcast_to(where, x.shape)  # also where there are no keys
        members = [x[(groups == key) & where] for key in named]
        each = [by_numpy(Written(name, *_of_part(name, part, *more, **how))) for part in members]
        kind = by_numpy(Written(name, *_of_part(name, np.ones(1, x.dtype), *more, **how))).dtype
        return np.array(each, kind)

    return grouped


def _of_part(name: str, part: Array, *more: Any, **how: Any) -> tuple[Any, Any]:
    """Of nothing: what ``where=`` gives, or for quantiles what numpy gives of NaN."""
    if name in ("median", "quantile") and part.size == 0:
        kind = part.dtype if part.dtype.kind == "f" else np.dtype(float)
        return (np.full(1, np.nan, kind), *more), how
    if name in ("min", "max") and part.size == 0:
        return (np.ones(1, part.dtype), *more), {**how, "where": np.zeros(1, bool)}
    return (part, *more), how


def expected_of(call: Written) -> Array | None:
    """Numpy's result, or None when numpy refuses."""
    try:
        return by_numpy(call)
    except NUMPY_ERRORS:
        return None


def is_stricter(call: Written) -> bool:
    """What numpy lets pass and the registry does not, each by a rule in its documentation."""
    return any(rule(call) for rule in STRICTER.get(call.name, ()))


def _may_be_negative(call: Written) -> bool:
    """Numpy refuses an integer to a negative power by value."""
    result, power = expected_of(call), call.args[1]
    negative = power < 0 if isinstance(power, int) else np.asarray(power).dtype.kind == "i"
    return result is not None and result.dtype.kind in "iu" and bool(negative)


def _axis_of_a_number(call: Written) -> bool:
    """Numpy lets a number have an axis 0."""
    return np.ndim(call.args[0]) == 0 and call.kwargs.get("axis") not in (None, ())


def _quantile_of_nothing(call: Written) -> bool:
    """Numpy warns, and gives NaN."""
    return np.size(call.args[0]) == 0 or _axis_of_a_number(call)


def _other_negative_sizes(call: Written) -> bool:
    """Numpy takes any negative size for -1."""
    return any(size < -1 for size in call.args[1])


def _mask_of_numbers(call: Written) -> bool:
    """Numpy lets a truth value be an index, and an empty mask have another shape."""
    x, index = call.args
    if isinstance(index, np.ndarray) and index.shape != x.shape[: index.ndim]:
        return True
    items = index if isinstance(index, tuple) else (index,)
    return any(np.ndim(item) == 0 and np.asarray(item).dtype == bool for item in items)


def _wrapped_integer(call: Written) -> bool:
    """Numpy lets an integer that does not fit the dtype wrap around, in this function alone."""
    result = expected_of(call)
    if result is None or result.dtype.kind not in "iu":
        return False
    limits = np.iinfo(result.dtype)
    return any(type(x) is int and not limits.min <= x <= limits.max for x in call.args[1:])


def _integer_of_no_dtype(call: Written) -> bool:
    """Numpy compares with it, or makes an object and then perhaps a float of it."""
    huge = any(type(x) is int and x not in INTEGERS for x in call.args)
    others = [x for x in call.args if isinstance(x, np.ndarray)]
    return huge and (call.name == "dot" or any(x.dtype.kind != "f" for x in others))


STRICTER: dict[str, tuple[Callable[[Written], bool], ...]] = {
    **dict.fromkeys((*BINARY, "dot", "clip"), (_integer_of_no_dtype,)),
    **dict.fromkeys((*MASKABLE, *PLACES, *RUNNING, "squeeze"), (_axis_of_a_number,)),
    "power": (_may_be_negative, _integer_of_no_dtype),
    "quantile": (_quantile_of_nothing,),
    "median": (_quantile_of_nothing,),
    "reshape": (_other_negative_sizes,),
    "getitem": (_mask_of_numbers,),
    "where": (_wrapped_integer,),
}


# --- arrays and numbers -----------------------------------------------------------------------

dims = st.integers(0, 3)
array_shapes = st.lists(dims, max_size=4).map(tuple)


@st.composite
def arrays(draw: st.DrawFn, like: Array | None = None) -> Array:
    """Small numbers, or any bits: NaN, infinities, extremes; often of a shape that fits."""
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    shape = draw(array_shapes) if like is None else draw(fitting(like.shape))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        return numbers.integers(0 if dtype.kind in "ub" else -3, 4, shape).astype(dtype)
    bits = numbers.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    array = (bits & 1 if dtype.kind == "b" else bits).view(dtype).reshape(shape)
    return array.T if draw(st.booleans()) else array


def fitting(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes that broadcast with this one, those that multiply with it, and any."""
    narrowed = st.tuples(*(st.sampled_from([size, 1]) for size in shape))
    cut = st.integers(0, len(shape)).map(lambda start: shape[start:])
    grown = st.lists(dims, max_size=2).map(lambda more: (*more, *shape))
    product = st.lists(dims, max_size=1).map(lambda more: (*shape[:-2], *shape[-1:], *more))
    return st.one_of(narrowed, cut, grown, product, array_shapes)


BORDERS = [2**bits + off for bits in (7, 8, 15, 16, 31, 32, 63, 64, 1023, 1024) for off in (-1, 0)]
numbers = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([sign * border for border in BORDERS for sign in (1, -1)]),
    st.floats(),
    st.floats(width=16),
    st.booleans(),
)

# --- indices and axes -------------------------------------------------------------------------

small = st.integers(-5, 5)
steps = st.integers(-3, 3) | st.none()
far = st.sampled_from([2**63 - 1, -(2**63), 2**31])
slices = st.builds(slice, small | st.none(), small | st.none(), steps) | st.builds(
    slice, far, far, far
)
positions = st.lists(st.integers(-3, 2), max_size=3) | st.lists(
    st.lists(st.integers(-3, 2), min_size=2, max_size=2), min_size=1, max_size=2
)
items = st.one_of(st.integers(-4, 4), st.none(), st.just(...), slices, far, st.booleans())
one_axis = st.none() | small
axes = one_axis | st.lists(st.integers(-3, 3), max_size=3).map(tuple)


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    """Truth values, mostly of a shape that broadcasts to this one."""
    wanted = draw(st.one_of(st.just(shape), fitting(shape)))
    numbers_ = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return numbers_.integers(0, 2, wanted).astype(bool)


@st.composite
def indices(draw: st.DrawFn, shape: tuple[int, ...]) -> Any:
    """An index: basic, by positions, or by a mask of the leading axes."""
    if draw(st.integers(0, 3)) == 0:
        return draw(masks(shape[: draw(st.integers(1, 4))]))
    index = tuple(draw(st.lists(st.one_of(items, items, positions), max_size=5)))
    return index[0] if len(index) == 1 and draw(st.booleans()) else index


# --- calls ------------------------------------------------------------------------------------

Draw = Callable[[st.SearchStrategy[Any]], Any]

Pick = Callable[[Array | None], Array]
"""Gives an array; one that fits another, when it can."""


def a_call(draw: Draw, name: str, pick: Pick) -> Written:
    """A call of this operation, often one that numpy accepts."""
    x = pick(None)
    if name in UNARY or name in ("ravel", "copy"):
        return Written(name, (x,))
    if name in BINARY or name == "dot":
        other = draw(numbers) if draw(st.booleans()) else pick(x)
        return Written(name, (other, x) if draw(st.booleans()) else (x, other))
    return CALLS[name](draw, x, pick)


def _maskable(name: str) -> Callable[[Draw, Array, Pick], Written]:
    def call(draw: Draw, x: Array, _: Pick) -> Written:
        kwargs: dict[str, Any] = {"axis": draw(axes), "keepdims": draw(st.booleans())}
        if name in ("var", "std"):
            kwargs["ddof"] = draw(st.sampled_from([0, 1, 2, 0.5]))
        if draw(st.booleans()):
            kwargs["where"] = draw(masks(x.shape))
        return Written(name, (x,), kwargs)

    return call


def _place(name: str) -> Callable[[Draw, Array, Pick], Written]:
    return lambda draw, x, _: Written(
        name, (x,), {"axis": draw(one_axis), "keepdims": draw(st.booleans())}
    )


def _running(name: str) -> Callable[[Draw, Array, Pick], Written]:
    return lambda draw, x, _: Written(name, (x,), {"axis": draw(one_axis)})


def _quantile(draw: Draw, x: Array, _: Pick) -> Written:
    kwargs = {"axis": draw(axes), "keepdims": draw(st.booleans())}
    return Written("quantile", (x, draw(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))), kwargs)


def _median(draw: Draw, x: Array, _: Pick) -> Written:
    return Written("median", (x,), {"axis": draw(axes), "keepdims": draw(st.booleans())})


def _reshape(draw: Draw, x: Array, _: Pick) -> Written:
    shape = draw(st.one_of(st.permutations(x.shape), st.lists(st.integers(-2, 4), max_size=3)))
    if shape and draw(st.booleans()):
        shape = [-1, *shape[1:]]
    return Written("reshape", (x, tuple(shape)))


def _transpose(draw: Draw, x: Array, _: Pick) -> Written:
    order = st.permutations(range(x.ndim)) | st.lists(st.integers(-3, 3), max_size=3)
    return Written("transpose", (x, draw(st.none() | order.map(tuple))))


def _astype(draw: Draw, x: Array, _: Pick) -> Written:
    return Written("astype", (x, draw(st.sampled_from(sorted(DTYPES)))))


def _round(draw: Draw, x: Array, _: Pick) -> Written:
    return Written("round", (x,), {"decimals": draw(st.integers(-3, 3))})


def _squeeze(draw: Draw, x: Array, _: Pick) -> Written:
    return Written("squeeze", (x,), {"axis": draw(axes)})


def _expand(draw: Draw, x: Array, _: Pick) -> Written:
    return Written("expand_dims", (x, draw(small | st.lists(small, max_size=3).map(tuple))))


def _where(draw: Draw, x: Array, pick: Pick) -> Written:
    y = draw(numbers) if draw(st.booleans()) else pick(x)
    z = draw(numbers) if draw(st.booleans()) else pick(x)
    return Written("where", (x, y, z))


def _clip(draw: Draw, x: Array, pick: Pick) -> Written:
    low = draw(numbers) if draw(st.booleans()) else pick(x)
    high = draw(numbers) if draw(st.booleans()) else pick(x)
    bounds = draw(st.sampled_from([(low, high), (low, None), (None, high)]))
    return Written("clip", (x, *bounds))


def _concatenate(draw: Draw, x: Array, pick: Pick) -> Written:
    more = [pick(x) for _ in range(draw(st.integers(0, 2)))]
    return Written("concatenate", ([x, *more],), {"axis": draw(one_axis)})


def _stack(draw: Draw, x: Array, pick: Pick) -> Written:
    more = [draw(st.sampled_from([x, pick(x)])) for _ in range(draw(st.integers(0, 2)))]
    return Written("stack", ([x, *more],), {"axis": draw(small)})


def _getitem(draw: Draw, x: Array, _: Pick) -> Written:
    return Written("getitem", (x, draw(indices(x.shape))))


def _grouped(name: str) -> Callable[[Draw, Array, Pick], Written]:
    def call(draw: Draw, x: Array, pick: Pick) -> Written:
        keys = draw(st.lists(st.integers(0, 5), max_size=5))
        kwargs: dict[str, Any] = {"where": draw(masks(x.shape))} if draw(st.booleans()) else {}
        if name in ("group_var", "group_std"):
            kwargs["ddof"] = draw(st.sampled_from([0, 1]))
        q = (draw(st.sampled_from([0.0, 0.25, 1.0])),) if name == "group_quantile" else ()
        groups = pick(x) if draw(st.booleans()) else x
        return Written(name, (x, groups, keys, *q), kwargs)

    return call


CALLS: dict[str, Callable[[Draw, Array, Pick], Written]] = {
    **{name: _maskable(name) for name in MASKABLE},
    **{name: _place(name) for name in PLACES},
    **{name: _running(name) for name in RUNNING},
    **{name: _grouped(name) for name in GROUPED},
    "quantile": _quantile,
    "median": _median,
    "reshape": _reshape,
    "transpose": _transpose,
    "astype": _astype,
    "round": _round,
    "squeeze": _squeeze,
    "expand_dims": _expand,
    "where": _where,
    "clip": _clip,
    "concatenate": _concatenate,
    "stack": _stack,
    "getitem": _getitem,
}
"""How to write a call of each operation that is no ufunc."""


def assert_same(got: Array, expected: Array) -> None:
    """Equal in shape, dtype, every value, and the sign of zero."""
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(got, expected)
    if got.dtype.kind == "f":  # -0.0 equals 0.0, but is not the same
        number = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got)[number], np.signbit(expected)[number])


def sample(operands: Sequence[Any]) -> list[Any]:
    """Copies of what may not change."""
    return [each.copy() if isinstance(each, np.ndarray) else each for each in operands]

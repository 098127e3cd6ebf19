"""Schemas for tests: random ones, and the one of the birth records."""

from functools import partial

import numpy as np
from hypothesis import strategies as st

from p2pgrid.protocol.arrays import DTYPES
from p2pgrid.protocol.columns import CATEGORY, Column
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema

BIRTHS = TensorSchema(
    "birth records",
    (
        Column("Gender", CATEGORY, categories=("female", "male"), description="at birth"),
        Column("Weight", "float32", 0, 10, unit="kg", description="first\nweighing"),
        Column("Height", "float32", 0.1, 80.7, unit="cm"),
    ),
)

names = st.text("abé中-", min_size=1, max_size=4)
cells = st.lists(st.integers(1, 3), max_size=2).map(tuple)


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    """A valid column of any type."""
    kind = draw(st.sampled_from([*DTYPES, CATEGORY]))
    described = partial(
        Column,
        name,
        kind,
        description=draw(st.text("ab\n", max_size=3)),
        unit=draw(st.text("km", max_size=2)),
        shape=draw(cells),
    )
    if kind == "bool":
        return described()
    if kind == CATEGORY:
        labels = draw(st.lists(names, min_size=1, max_size=4, unique=True))
        return described(categories=tuple(labels))
    low, high = sorted(draw(st.tuples(numbers(kind), numbers(kind))))
    return described(low=low, high=high)


def numbers(dtype: str) -> st.SearchStrategy[float]:
    """Finite numbers of a dtype."""
    limits = np.finfo(dtype) if DTYPES[dtype].kind == "f" else np.iinfo(dtype)
    if isinstance(limits, np.finfo):
        return st.floats(float(limits.min), float(limits.max))
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def tensor_schemas(draw: st.DrawFn) -> TensorSchema:
    """A valid schema of one to three columns."""
    named = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    return TensorSchema(draw(names), tuple(draw(columns(name)) for name in named))


@st.composite
def dataset_schemas(draw: st.DrawFn) -> DatasetSchema:
    """A valid schema of one or two tensors."""
    named = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    return DatasetSchema.of(draw(names), {name: draw(tensor_schemas()) for name in named})

"""Tables against numpy and pandas, through the whole path."""

import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid import DomainClient, TablePointer
from p2pgrid.errors import (
    DtypeError,
    ForeignPointerError,
    GetNotPermittedError,
    ObjectGoneError,
    SchemaError,
    ShapeError,
    UnsupportedRemoteOpError,
)
from p2pgrid.protocol.arrays import DTYPES, Array
from tests.fabric.conftest import Grid

AGE = np.array([31, 64, 80, 12, 66, 64], np.int16)
WARD = np.array([3, 1, 3, 2, 1, 9], np.uint8)
DOSE = np.array([0.5, 1.0, np.nan, 2.0, 4.0, 8.0])
OLD = AGE > 60
WHOLE = {"age": AGE, "ward": WARD, "dose": DOSE}

STATISTICS = ("sum", "mean", "min", "max", "var", "std", "median", "quantile")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    made = Grid(tmp_path_factory.mktemp("tables"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def owner(grid: Grid) -> DomainClient:
    return grid.owner_of(grid.launch("bob"))


@pytest.fixture(scope="module")
def ana(grid: Grid, owner: DomainClient) -> DomainClient:
    return grid.user(owner, "ana")


@pytest.fixture
def table(owner: DomainClient) -> TablePointer:
    return published(owner, WHOLE)


def published(owner: DomainClient, columns: Any, **how: Any) -> TablePointer:
    return owner.publish(secrets.token_hex(8), columns, **how).table()


# --- against numpy ----------------------------------------------------------------------------


class Data(NamedTuple):
    """Two columns and two masks, one made at the domain and one here."""

    values: Array
    groups: Array
    masks: tuple[Array, ...]
    keys: list[int]

    @property
    def kept(self) -> Array:
        """Which rows count."""
        kept: Array = np.ones(len(self.values), bool)
        for mask in self.masks:
            kept = kept & mask
        return kept


@st.composite
def data(draw: st.DrawFn) -> Data:
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(1, 40))
    dtypes = st.sampled_from(sorted(DTYPES))
    values = numbers.integers(0, 60, rows).astype(draw(dtypes))
    groups = numbers.integers(0, 5, rows).astype(draw(dtypes))
    masks = [numbers.integers(0, 4, rows) > draw(st.integers(-1, 3)) for _ in range(2)]
    largest = 1 if groups.dtype == bool else 8
    keys = draw(st.lists(st.integers(0, largest), max_size=6))
    return Data(values, groups, tuple(masks[: draw(st.integers(0, 2))]), keys)


def filtered(owner: DomainClient, made: Data) -> TablePointer:
    """The first mask is a private column, the second comes from here."""
    table = published(owner, {"x": made.values, "g": made.groups})
    if made.masks:
        table = table[published(owner, {"m": made.masks[0]})["m"]]
    return table[made.masks[1]] if len(made.masks) > 1 else table


def of_rows(name: str, rows: Array) -> Any:
    """The statistic of rows, by numpy; where there is none, as the documentation says."""
    if name == "quantile":
        return np.quantile(rows, 0.25) if rows.size else np.nan
    if rows.size or name == "sum":
        return getattr(np, name)(rows)
    if name not in ("min", "max"):
        return np.nan
    if rows.dtype.kind == "f":
        return np.inf if name == "min" else -np.inf
    ends = (False, True) if rows.dtype == bool else (_limits(rows).min, _limits(rows).max)
    return ends[name == "min"]


def _limits(rows: Array) -> Any:
    return np.iinfo(rows.dtype)


def close(got: Array, expected: Any) -> None:
    np.testing.assert_allclose(got, expected, rtol=2e-3 if got.dtype == np.float16 else 1e-5)


@settings(max_examples=settings().max_examples // 4)
@given(made=data())
def test_statistics_of_the_rows_that_count_are_numpys(owner: DomainClient, made: Data) -> None:
    table, rows = filtered(owner, made), made.values[made.kept]
    groups = table.groupby("g", keys=made.keys)
    parts = [made.values[made.kept & (made.groups == key)] for key in made.keys]
    for name in STATISTICS:
        if name == "quantile" and rows.dtype == bool:
            continue
        q = (0.25,) if name == "quantile" else ()
        close(getattr(table, name)("x", *q).get(), of_rows(name, rows))
        by_group = getattr(groups, name)("x", *q).get()
        assert by_group.shape == (len(made.keys),)
        close(by_group, [of_rows(name, part) for part in parts])
    assert table.count().get() == len(rows)
    assert groups.count().get().tolist() == [len(part) for part in parts]
    assert table.value_counts("g", made.keys).get().tolist() == [len(part) for part in parts]
    np.testing.assert_array_equal(table.get_copy()["x"], rows)


@settings(max_examples=settings().max_examples // 10)
@given(made=data())
def test_a_description_is_that_of_pandas_but_for_ddof(owner: DomainClient, made: Data) -> None:
    table = filtered(owner, made)
    got = table.describe()[["x"]].get()["x"]
    rows = made.values[made.kept].astype("float64")
    expected = pd.DataFrame({"x": rows}).describe()["x"].to_numpy(copy=True)
    expected[2] = np.std(rows) if rows.size else np.nan
    if not rows.size:
        expected[[3, 7]] = [of_rows(n, np.zeros(0, _numbers(made.values))) for n in ("min", "max")]
    assert (table.describe().rows, table.describe().columns) == (8, table.columns)
    np.testing.assert_allclose(got, expected, rtol=2e-3)


def _numbers(values: Array) -> Any:
    return np.uint8 if values.dtype == bool else values.dtype


def test_groups_are_those_of_pandas(table: TablePointer) -> None:
    frame = pd.DataFrame(WHOLE)[OLD].groupby("ward")["age"]
    groups = table[table["age"] > 60].groupby("ward", keys=[3, 9, 1])
    for name in ("sum", "mean", "min", "max", "median", "count"):
        got = (groups.count() if name == "count" else getattr(groups, name)("age")).get()
        np.testing.assert_array_equal(got, getattr(frame, name)().loc[[3, 9, 1]])
    np.testing.assert_array_equal(groups.std("age", ddof=1).get(), frame.std().loc[[3, 9, 1]])


def test_nan_is_a_value_and_names_no_group(table: TablePointer) -> None:
    assert np.isnan(table.mean("dose").get())
    assert np.isnan(table.median("dose").get())
    assert table.value_counts("dose", [np.nan, 8]).get().tolist() == [0, 1]
    assert table[table["dose"] > 0].sum("dose").get() == 15.5


# --- what a table tells -----------------------------------------------------------------------


def test_a_table_shows_what_is_public(table: TablePointer) -> None:
    assert (table.rows, len(table), table.shape) == (6, 6, (6, 3))
    assert table.columns == tuple(table) == ("age", "ward", "dose")
    assert table.dtypes["ward"] == np.uint8
    assert "age" in table
    assert "sex" not in table
    assert repr(table) == "<TablePointer at bob: rows 6; age int16; ward uint8; dose float64>"
    groups = table.groupby("ward", [3, 1])
    assert groups.keys.tolist() == [3, 1]
    assert repr(groups) == f"<TableGroups of {table!r} by 'ward', 2 keys>"


@pytest.mark.parametrize("threshold", [-1, 60, 1000])
def test_how_many_rows_a_filter_keeps_is_not_told(table: TablePointer, threshold: int) -> None:
    kept = table[table["age"] > threshold]
    assert kept.shape == table.shape
    assert repr(kept) == repr(table).replace("rows 6", "rows 6, filtered")
    shapes = [kept.mean("age"), kept.groupby("ward", [1, 5]).min("age"), kept.describe()["age"]]
    assert [each.block.shape for each in shapes] == [(), (2,), (8,)]


def test_filters_are_joined(table: TablePointer) -> None:
    some = table[table["age"] > 60].filter(table["ward"] < 3)[["age"]]
    np.testing.assert_array_equal(some.get()["age"], [64, 66])


def test_a_column_of_a_filtered_table_is_never_taken_for_its_rows(table: TablePointer) -> None:
    kept = table[table["age"] > 60]
    with pytest.raises(SchemaError, match=r"table\.mean\('age'\).*table\.column\('age'\)"):
        kept["age"]
    np.testing.assert_array_equal(kept.column("age").get(), AGE)


def test_a_column_that_is_not_there_names_the_nearest(table: TablePointer) -> None:
    for ask in (table.column, table.mean, table.__getitem__, lambda name: table[[name]]):
        with pytest.raises(KeyError, match="'agee'; the nearest one is 'age'") as caught:
            ask("agee")
        assert isinstance(caught.value, SchemaError)


def test_a_filter_is_a_truth_value_per_row_of_the_same_domain(
    grid: Grid, table: TablePointer
) -> None:
    with pytest.raises(DtypeError, match="int16"):
        table[table["age"]]
    for wrong in (np.ones(5, bool), table["age"][:1] > 0):
        with pytest.raises(ShapeError, match="6 rows"):
            table.filter(wrong)
    other = published(grid.owner_of(grid.launch("ucsf")), WHOLE)
    with pytest.raises(ForeignPointerError, match="ucsf"):
        table[other["age"] > 60]
    with pytest.raises(ForeignPointerError, match="ucsf"):
        TablePointer({"age": table["age"], "other": other["age"]})
    with pytest.raises(ForeignPointerError, match="ucsf"):
        TablePointer({"age": table["age"]}, mask=other["age"] > 60)


def test_keys_are_public_and_of_the_dtype_of_the_column(table: TablePointer) -> None:
    for keys in ([1, 300], [-1], [1.5]):
        with pytest.raises(DtypeError, match="uint8"):
            table.groupby("ward", keys)
    with pytest.raises(DtypeError):
        table.groupby("ward", ["a"])  # type: ignore[list-item]
    with pytest.raises(ShapeError):
        table.groupby("ward", np.ones((2, 2)))
    with pytest.raises(UnsupportedRemoteOpError, match="get"):
        table.groupby("ward", table["ward"])  # type: ignore[arg-type]


# --- how a table is made ----------------------------------------------------------------------


def test_an_array_of_two_dimensions_is_a_table_with_names(owner: DomainClient) -> None:
    matrix = owner.publish(secrets.token_hex(8), np.arange(6.0).reshape(3, 2)).pointers[0]
    table = TablePointer.of(matrix, columns=("height", "weight"))
    np.testing.assert_array_equal(table["weight"].get(), [1, 3, 5])
    for names in (("a",), ("a", "a"), ("a", "b", "c")):
        with pytest.raises(SchemaError, match=r"\(3, 2\)"):
            TablePointer.of(matrix, columns=names)
    with pytest.raises(SchemaError):
        TablePointer.of(matrix[0], columns=("a", "b"))


def test_a_dataset_of_other_shapes_is_no_table(owner: DomainClient) -> None:
    dataset = owner.publish(secrets.token_hex(8), {"x": AGE, "y": AGE[1:], "z": np.ones((6, 1))})
    with pytest.raises(SchemaError, match=r"'y' \(5,\), 'z' \(6, 1\)"):
        dataset.table()
    assert dataset.table("x").columns == ("x",)
    with pytest.raises(KeyError, match="x, y, z"):
        dataset.table("w")
    for columns in ({}, {"number": dataset["x"].sum()}):
        with pytest.raises(SchemaError, match="columns"):
            TablePointer(columns)


def test_a_data_frame_is_published_by_column(owner: DomainClient) -> None:
    frame = pd.DataFrame(WHOLE)
    table = published(owner, frame)
    pd.testing.assert_frame_equal(pd.DataFrame(table.get()), frame)
    for extra in (["a"] * 6, pd.date_range("2026-01-01", periods=6)):
        with pytest.raises(SchemaError, match=r"column 'extra'.*as integers"):
            owner.publish("never", frame.assign(extra=extra))
    assert "never" not in {dataset.name for dataset in owner.datasets}


# --- taking it home ---------------------------------------------------------------------------


def test_get_takes_computed_columns_away_and_leaves_the_owners(table: TablePointer) -> None:
    whole = TablePointer({"age": table["age"], "older": table["age"] + 1})
    some = whole[whole["age"] > 60]
    for take in (some.get_copy, some.get):
        got = take()
        np.testing.assert_array_equal(got["older"], AGE[OLD] + 1)
        assert not got["older"].flags.writeable
    with pytest.raises(ObjectGoneError):
        whole["older"].block  # noqa: B018
    assert table["age"].exists


def test_a_table_goes_home_only_if_columns_and_filter_may(
    owner: DomainClient, ana: DomainClient
) -> None:
    mine = owner.publish(secrets.token_hex(8), {"x": AGE}, allowed_users=("ana",))
    theirs = owner.publish(secrets.token_hex(8), {"secret": WARD})
    found = {dataset.name: dataset for dataset in ana.datasets}
    x, secret = found[mine.name].table(), found[theirs.name].table()
    np.testing.assert_array_equal(x[x["x"] > 60].get()["x"], AGE[OLD])
    for refused in (secret, x[secret["secret"] > 1], secret.describe()):
        with pytest.raises(GetNotPermittedError):
            refused.get()
    for result in (
        x[secret["secret"] > 1].count(),
        x[secret["secret"] > 1].groupby("x", [64]).count(),
        TablePointer({"x": x["x"], "s": secret["secret"]}).groupby("s", [1]).mean("x"),
    ):
        with pytest.raises(GetNotPermittedError):
            result.get()

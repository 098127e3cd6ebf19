"""What was taken home becomes an array, a tensor or a data frame of one's own."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from p2pgrid.client.result import result_of
from p2pgrid.errors import ShapeError
from p2pgrid.protocol.arrays import DTYPES


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tensor_of_torch_has_the_values_the_shape_and_the_dtype(dtype: str) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    tensor = result_of(values).to_torch()
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), values, strict=True)


def test_what_was_converted_may_be_written_to_and_changes_nothing_here() -> None:
    result = result_of(np.zeros((2, 3)))
    for mine in (result.to_numpy(), result.to_torch()):
        mine[0, 0] = 1
    frame = result.to_pandas()
    frame.iloc[0, 0] = 1
    assert result.sum() == 0
    assert type(result.to_numpy()) is np.ndarray


@pytest.mark.parametrize(
    ("shape", "columns", "found"),
    [
        ((2, 3), None, (2, 3)),
        ((2, 3), ["a", "b", "c"], (2, 3)),
        ((4,), ["a"], (4, 1)),
        ((0, 2), ["a", "b"], (0, 2)),
        ((0,), None, (0, 1)),
    ],
)
def test_a_table_becomes_a_data_frame(
    shape: tuple[int, ...], columns: list[str] | None, found: tuple[int, int]
) -> None:
    frame = result_of(np.zeros(shape, "float32")).to_pandas(columns)
    assert isinstance(frame, pd.DataFrame)
    assert frame.shape == found
    assert columns is None or list(frame.columns) == columns
    assert set(frame.dtypes) == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("shape", "columns"), [((), None), ((2, 2, 2), None), ((2, 3), ["a"]), ((2,), ["a", "b"])]
)
def test_what_is_no_such_table_is_refused_by_its_shape(shape: Any, columns: Any) -> None:
    with pytest.raises(ShapeError, match="to_pandas") as refused:
        result_of(np.zeros(shape)).to_pandas(columns)
    assert refused.value.shapes == str(shape)


def test_torch_is_loaded_when_somebody_asks_for_it_and_not_before() -> None:
    program = (
        "import sys, numpy as np; from p2pgrid.client.result import result_of\n"
        "result = result_of(np.zeros(2)); print('torch' in sys.modules)\n"
        "sys.modules['torch'] = None\n"
        "try: result.to_torch()\n"
        "except ModuleNotFoundError as error: print(error.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "torch"]

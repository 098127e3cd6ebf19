"""A prepared dataset for tests: births, of two tensors, with splits, owners and a raw file."""

from typing import Any

import numpy as np
import pandas as pd

from p2pgrid.client.dataset_model import Dataset, prepare_dataset
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema

BIRTHS = np.array([[1, 3.5, 47.3], [0, 3.7, 48.1], [0, 3.9, 50.0], [1, 4.1, 52.3], [0, 4.1, 49.7]])
RAW = b"the owner's own file, name by name"
MOTHERS = ["anna", "berta", "anna", "clara", "berta"]
USUAL = UserBudget.of_all_splits(lifetime=10, user_lifetime=2, daily_auto=1, query_auto=0.5)
CAREFUL = USUAL.with_changes(query_auto_train=0.3)

ARRAY = TensorSchema(
    "births as numbers",
    (
        Column("Gender", "float32", 0, 1),
        Column("Weight", "float32", 0, 10, unit="kg"),
        Column("Height", "float32", 20, 80, unit="cm"),
    ),
)
TABLE = TensorSchema(
    "births as a table",
    (
        Column("Gender", "category", categories=("female", "male")),
        Column("Weight", "float32", 0, 10, unit="kg"),
    ),
)
SCHEMA = DatasetSchema.of("births", {"x": ARRAY, "table": TABLE})


def table(rows: int = 5) -> pd.DataFrame:
    labels = ["female" if value else "male" for value in BIRTHS[:rows, 0]]
    return pd.DataFrame({"Gender": labels, "Weight": BIRTHS[:rows, 1]})


def births(**changes: Any) -> Dataset:
    """Five rows to train and two to test; three mothers, of whom berta is careful."""
    settings: dict[str, Any] = {
        "name": "Birth records",
        "tensors": {"x": BIRTHS, "table": table()},
        "test": {"x": BIRTHS[:2], "table": table(2)},
        "schema": SCHEMA,
        "tags": ("#February", "#birth-records"),
        "description": "Births of February,\nweighed by midwives.\n",
        "owners": {"train": MOTHERS, "test": MOTHERS[:2]},
        "budget": USUAL,
        "budgets": {"berta": CAREFUL},
        "metadata": {"collected": 2019},
        "raw": RAW,
    }
    return prepare_dataset(**{**settings, **changes})

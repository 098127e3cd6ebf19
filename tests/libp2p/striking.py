"""A process that kills itself at a step of a publication, as a crash or a power cut would.

    python striking.py node DIRECTORY STEP
    python striking.py program HOME ADDRESS STEP

A step is ``module:name before|after N``: the Nth call of a function, or of a method of a class.
The node serves as ``node_process.py`` does; the program publishes what ``prepared``
makes.
"""

import importlib
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from actors.layout import NodeDirectory
from p2pgrid import Client, DomainClient
from p2pgrid.client.dataset_model import Dataset, prepare_dataset
from p2pgrid.client.launch import OWNER
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from tests.libp2p.node_process import serve

RAW = b"what it was made of"
ROWS = 100_000
WEIGHTS = TensorSchema("weights", (Column("grams", "int64", 0, ROWS),))
WEEKS = TensorSchema("weeks", (Column("weeks", "int64", 0, ROWS),))
SCHEMA = DatasetSchema.of("BIRTHS", {"weights": WEIGHTS, "weeks": WEEKS})
TENSORS = {"weights": np.arange(ROWS), "weeks": np.arange(ROWS)[::-1].copy()}
"""Both are uploaded, and whose rows they are; the test split and ``raw`` travel in the message."""


def prepared(name: str = "data") -> Dataset:
    """A dataset of two tensors in two splits."""
    return prepare_dataset(
        name=name,
        tensors=TENSORS,
        test={key: values[:10] for key, values in TENSORS.items()},
        schema=SCHEMA,
        tags=["#births"],
        description="made up",
        raw=RAW,
    )


def strike(step: str) -> None:
    """From now on this process dies at the step."""
    place, when, number = step.split()
    module, _, name = place.partition(":")
    *path, function = name.split(".")
    owner: Any = importlib.import_module(module)
    for part in path:
        owner = getattr(owner, part)
    real, calls = getattr(owner, function), itertools.count(1)

    def struck(*args: Any, **settings: Any) -> Any:
        is_last = next(calls) == int(number)
        if is_last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **settings)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, function, struck)


def main(kind: str, where: str, *rest: str) -> None:
    """Serves, or publishes, until the step."""
    strike(rest[-1])
    if kind == "node":
        serve(NodeDirectory(Path(where)))
        return
    domain = Client(Path(where)).connect(rest[0])
    assert isinstance(domain, DomainClient)
    domain.login(OWNER).publish_dataset(prepared())


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A program of the owner that strikes itself in the middle of an upload.

python program_process.py HOME ADDRESS SIGNAL plain|prepared
"""

import os
import sys
from pathlib import Path

import numpy as np

from p2pgrid import Client, DomainClient
from p2pgrid.client.dataset_model import prepare_dataset
from p2pgrid.client.launch import OWNER
from p2pgrid.net.bulk_pipe import Pipe
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema

SIZE = 64 << 20
write = Pipe.write


def main(home: Path, address: str, number: int, kind: str) -> None:
    """Uploads, and sends itself the signal half-way."""
    domain = Client(home).connect(address)
    assert isinstance(domain, DomainClient)
    owner = domain.login(OWNER)

    def strike(pipe: Pipe, data: Buffer) -> None:
        if owner.transfers.counters.sent > SIZE // 2:
            os.kill(os.getpid(), number)
        write(pipe, data)

    Pipe.write = strike  # type: ignore[method-assign, assignment]
    values = np.zeros(SIZE, np.uint8)
    if kind == "plain":
        owner.publish("half", values)
    column = TensorSchema("bytes", (Column("a", "uint8", 0, 1, shape=(1 << 20,)),))
    schema = DatasetSchema.of("halves", {"whole": column, "half": column})
    rows = values[: SIZE * 3 // 8].reshape(-1, 1 << 20)
    tensors = {name: {"a": rows} for name in ("whole", "half")}
    owner.publish_dataset(
        prepare_dataset(
            name="half", tensors=tensors, schema=schema, tags=("#half",), description="Zeros."
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])

"""A program of the owner that strikes itself in the middle of an upload.

python program_process.py HOME ADDRESS SIGNAL
"""

import os
import sys
from pathlib import Path

import numpy as np

from p2pgrid import Client, DomainClient
from p2pgrid.client.launch import OWNER
from p2pgrid.net.bulk_pipe import Pipe
from p2pgrid.protocol.codec import Buffer

SIZE = 64 << 20
write = Pipe.write


def main(home: Path, address: str, number: int) -> None:
    """Uploads, and sends itself the signal half-way."""
    domain = Client(home).connect(address)
    assert isinstance(domain, DomainClient)
    owner = domain.login(OWNER)

    def strike(pipe: Pipe, data: Buffer) -> None:
        if owner.transfers.counters.sent > SIZE // 2:
            os.kill(os.getpid(), number)
        write(pipe, data)

    Pipe.write = strike  # type: ignore[method-assign, assignment]
    owner.publish("half", np.zeros(SIZE, np.uint8))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

"""A scientist's program in a process of its own: makes results and waits to be killed.

    python client_process.py HOME ADDRESS USER

Prints a line once the domain holds its results.
"""

import sys
from pathlib import Path

import trio

from p2pgrid import Client, DomainClient


def main(home: str, address: str, user: str) -> None:
    domain = Client(Path(home)).connect(address)
    assert isinstance(domain, DomainClient)
    pointer = domain.login(user).datasets[0].pointers[0]
    kept = [(pointer + number).block for number in range(3)]
    sys.stdout.write(f"{len(kept)} results\n")
    sys.stdout.flush()
    trio.run(trio.sleep_forever)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A program of a domain's owner: publishes, computes, takes home, a little and much.

python visitor_process.py '{"home": ..., "address": ..., "name": ..., "tag": ..., "proxy": null}'

Prints as one line of JSON what it got, and how.
"""

import json
import sys
from pathlib import Path

import numpy as np

from p2pgrid import Client, DomainClient
from p2pgrid.client.launch import OWNER

ROW = np.frombuffer(b"PRIVATE-ROW-0001", np.uint8)
ROWS = 1 << 18


def main(*, home: str, address: str, name: str, tag: str, proxy: str | None) -> None:
    client = Client(Path(home), proxy=proxy)
    domain = client.connect(address)
    assert isinstance(domain, DomainClient)
    domain.login(OWNER)
    values = np.tile(ROW, ROWS)
    dataset = domain.publish(name, {"small": np.arange(10.0), "large": values}, tags=(tag,))
    total = (dataset["small"] * 2).sum().get()
    large = dataset["large"].get()
    np.testing.assert_array_equal(large, values)
    counters = domain.transfers.counters
    told = {
        "total": float(total),
        "bulk_sent": counters.sent,
        "bulk_received": counters.received,
        "stream": type(domain.link()._stream).__name__,
        "domain": domain.peer_id,
    }
    client.close()
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

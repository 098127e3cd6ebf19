"""A DHT server in a process of its own: started with JSON, serves until its stdin closes.

    python peer_process.py '{"seed": "<hex>", "join": [...], "records": ["<hex>"], "tags": [...],
                             "key": "<file>"}'

Prints its addresses as one line of JSON once all of that is done.
"""

import json
import sys
import time
from pathlib import Path

import trio

from p2pgrid.net.dht import Dht
from p2pgrid.net.host import build_host, running
from p2pgrid.net.key_file import read_key
from p2pgrid.protocol.records import SignedRecord

LISTEN = ["/ip4/127.0.0.1/tcp/0"]


async def serve(
    seed: str, join: list[str], records: list[str], tags: list[str], key: str = ""
) -> None:
    network_key = read_key(Path(key)) if key else None
    host = build_host(bytes.fromhex(seed), LISTEN, network_key=network_key)
    async with running(host, LISTEN), trio.open_nursery() as nursery:
        dht = Dht(host, server=True, now=time.time)
        nursery.start_soon(dht.run)
        await dht.join(join)
        for record in records:
            await dht.put(SignedRecord.decode(bytes.fromhex(record)))
        for tag in tags:
            await dht.announce(tag)
        answer = {"addresses": [str(address) for address in host.get_addrs()]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        await trio.lowlevel.wait_readable(sys.stdin.fileno())
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(lambda: serve(**json.loads(sys.argv[1])))

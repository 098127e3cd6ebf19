"""What a capability costs: to verify one of three links, to meet it again, and on the wire."""

import asyncio
import secrets
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

from nacl.signing import SigningKey

from actors.capabilities import Capabilities
from actors.ports import StatePort
from benchmarks.nodes import report
from p2pgrid.ids import peer_id_of
from p2pgrid.protocol.capability import Capability, delegate, encode, mint
from p2pgrid.protocol.rights import verify

ROUNDS, CALLS = 7, 300
LINKS = 3
US = 1e6


def measure() -> dict[str, float]:
    """Microseconds, medians over rounds, and bytes."""
    seeds = [secrets.token_bytes(32) for _ in range(LINKS + 1)]
    encoded = encode(chain(seeds))
    domain = peer_id_of(public_key(seeds[0]))
    # A state is asked at the start and at revocations only.
    known = Capabilities(seeds[0], domain=domain, state=cast("StatePort", None))
    holder = public_key(seeds[-1])

    def again() -> None:
        with known.admit(encoded, holder):
            pass

    async def cached() -> float:
        return microseconds(again)

    return {
        "token_verify_us": microseconds(
            lambda: verify(encoded, domain=domain, now=time.time(), revoked=())
        ),
        "token_cached_us": asyncio.run(cached()),
        "token_bytes": float(len(encoded)),
    }


def chain(seeds: list[bytes]) -> Capability:
    """One object, two operations, given on from key to key."""
    fields: dict[str, Any] = {"nonce": bytes(8), "objects": (bytes(16),), "expires": 1 << 32}
    capability = mint(
        seeds[0],
        domain=peer_id_of(public_key(seeds[0])),
        account="ana",
        audience=public_key(seeds[1]),
        operations=("sum", "get"),
        **fields,
    )
    for holder, audience in pairwise(seeds[1:]):
        capability = delegate(capability, holder, audience=public_key(audience), **fields)
    return capability


def public_key(seed: bytes) -> bytes:
    """The public half of a key."""
    return bytes(SigningKey(seed).verify_key)


def microseconds(call: Callable[[], object]) -> float:
    """Per call, the median over rounds."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append((time.perf_counter() - started) / CALLS)
    return statistics.median(rounds) * US


if __name__ == "__main__":
    report(__doc__, lambda _: measure())

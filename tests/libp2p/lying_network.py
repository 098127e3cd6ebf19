"""A network that lies, in a process of its own: how, says the first tag that is searched for.

    python lying_network.py

Prints its addresses as one line of JSON; ends when its stdin closes.
"""

import itertools
import json
import secrets
import sys
import time
from collections.abc import Callable

import msgspec

from p2pgrid.ids import DatasetId
from p2pgrid.net.link import Inbound
from p2pgrid.net.peer import Peer, libp2p_peer
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages import Begin, Challenge, Done, Found, Message, Search
from p2pgrid.protocol.records import NodeRecord, SignedRecord, sign
from tests.unit.hits import record, seed_of, signed

HOUR_S = 3600
TRUE = "ucsf"
"""The domain whose records are passed on, or not."""
ONE = DatasetId(b"one dataset ....")
CLAIM = Counts(1, 1_000_000, 1, 1, 1)
places = itertools.count(1)


def good(tag: str, **fields: object) -> bytes:
    """A record of the domain, as it signed it."""
    return signed(record("true", TRUE, tags=(tag,), dataset_id=ONE, seq=5, **fields))


def changed(tag: str) -> bytes:
    """Another payload under the signature of the domain."""
    true = SignedRecord.decode(good(tag))
    payload = true.payload.replace(b"true", b"lies")
    return msgspec.structs.replace(true, payload=payload).encode()


def of(*made: Callable[[str], bytes]) -> Callable[[str], Message]:
    """The good record, between others."""
    return lambda tag: Found((*(make(tag) for make in made), good(tag)))


def foreign(tag: str) -> bytes:
    return signed(record("true", TRUE, tags=(tag,), dataset_id=ONE, seq=99), by="liar")


def stale(tag: str) -> bytes:
    return signed(record("old", TRUE, tags=(tag,), dataset_id=ONE, seq=4))


LIES: dict[str, Callable[[str], Message | None]] = {
    "forged": of(changed),
    "foreign": of(foreign),
    "stale": of(stale, good, stale),
    "expired": of(lambda tag: signed(record("old", TRUE, tags=(tag,), expires=1))),
    "eternal": of(lambda tag: signed(record("old", TRUE, tags=(tag,), expires=2**40))),
    "garbage": of(lambda _: b"\xc1 garbage", lambda _: b""),
    "mismatch": of(lambda _: signed(record("other", TRUE, tags=("other",)))),
    "repeated": lambda tag: Found((good(tag),) * 1000),
    "miscounted": lambda tag: Found((good(tag),), counts=CLAIM),
    "claimed": lambda tag: Found((good(tag),), next=next(places), counts=CLAIM),
    "omitted": lambda _: Found(()),
    "endless": lambda tag: Found((good(tag),), next=next(places)),
    "circle": lambda tag: Found((good(tag),), next=7),
    "oversized": of(lambda tag: good(tag) + bytes(70_000)),
    "crowded": lambda tag: Found((good(tag),) * 1001),
    "another": lambda _: Done(),
    "silent": lambda _: None,
}
"""By the tag; None: no answer at all."""


def serve() -> None:
    """Answers until stdin closes."""
    seed = seed_of("liar")

    def on_request(inbound: Inbound) -> None:
        if isinstance(inbound.message, Begin):
            inbound.answer(challenge())
        if isinstance(inbound.message, Search):
            (tag,) = inbound.message.query.exact_tags
            answer = impostor(tag) if tag == "impostor" else LIES[tag](tag)
            if answer is not None:
                inbound.answer(answer)

    def challenge() -> Challenge:
        expires = int(time.time()) + HOUR_S
        body = NodeRecord("network", "liar", peer.addresses, seq=1, expires=expires)
        own = sign(body, signing_key=seed).encode()
        return Challenge("network", "liar", secrets.token_bytes(16), own, time.time())

    def impostor(tag: str) -> Message:
        """The domain once was where the liar is now."""
        place = peer.addresses[0].split("/p2p/")[0]
        return Found((good(tag, addresses=(place,)),))

    peer: Peer = libp2p_peer(seed, listen=("/ip4/127.0.0.1/tcp/0",), on_request=on_request)
    peer.start()
    sys.stdout.write(json.dumps({"addresses": peer.addresses}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    peer.stop()


if __name__ == "__main__":
    serve()

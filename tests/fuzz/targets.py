"""All fuzz targets by name; to add one, write it with its seeds and give it a line here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from actors.frames import PIECE_BYTES
from tests.fuzz import calls, local, model, net, web, wire

CORPUS = Path(__file__).with_name("corpus")


class Target(NamedTuple):
    """A decoder: ``run`` raises nothing, whatever the bytes; ``seeds`` makes some valid ones."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    claim_bytes: int = 4 << 20
    """What may be allocated for a claim before the bytes come."""


TARGETS: dict[str, Target] = {
    "frame": Target(wire.frame, wire.frames),
    "record": Target(wire.record, wire.records),
    "statement": Target(wire.statement, wire.statements),
    "capability": Target(wire.capability, wire.capabilities),
    "shared": Target(wire.shared, wire.shares),
    "array": Target(wire.array, wire.arrays),
    "operate": Target(wire.operate, wire.operates),
    "invoke": Target(wire.invoke, wire.invokes),
    "classes": Target(wire.classes, wire.exports),
    "hello": Target(wire.hello, wire.hellos),
    "proxy_answer": Target(wire.proxy_answer, wire.proxy_answers),
    "websocket": Target(net.websocket, net.websockets),
    "stream": Target(net.stream, net.streams),
    "identify": Target(net.identify, net.identities),
    "dht_answer": Target(net.dht_answer, net.dht_answers),
    "dht_question": Target(net.dht_question, net.dht_questions),
    "document": Target(web.document, web.documents),
    "url": Target(web.url, web.urls),
    "page_request": Target(web.request, web.requests),
    "store_channel": Target(
        local.store_channel, local.channel_seeds, claim_bytes=PIECE_BYTES + (4 << 20)
    ),
    "actor_calls": Target(calls.actor_calls, calls.call_seeds, claim_bytes=PIECE_BYTES + (4 << 20)),
    "actor_answers": Target(calls.actor_answers, calls.answer_seeds),
    "wallet": Target(local.wallet, local.wallets),
    "known_peers": Target(local.known_peers, local.peer_files),
    "node_files": Target(local.node_files, local.node_seeds),
    "catalogue": Target(local.catalogue, local.entries),
    "schema": Target(model.schema, model.schemas),
    "code_book": Target(model.code_book, model.code_books),
}


def kept(name: str) -> list[bytes]:
    """The corpus of a target: what coverage found, and what was a bug once."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]

"""What a server of the DHT holds for others, and how it answers: messages in, messages out.

Trust: none in any question. Stored records prove their signer, no more, and keys cost nothing:
records, keys, addresses and tags are bounded, and how many of them one peer leaves in ten seconds.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from libp2p.abc import IHost
from libp2p.kad_dht.common import BUCKET_SIZE
from libp2p.kad_dht.pb.kademlia_pb2 import Message, Record
from libp2p.kad_dht.provider_store import ProviderStore
from libp2p.kad_dht.routing_table import RoutingTable
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo

from p2pgrid.errors import ForgedRecordError, P2PGridError, RemoteProtocolError
from p2pgrid.net.kad_contacts import contacts, known_contact
from p2pgrid.protocol.records import (
    DHT_RECORD_BYTES,
    NodeRecord,
    SignedRecord,
    dht_key,
    verify,
)

MAX_KEY_BYTES = 128
MAX_RECORDS = 8192
"""With more than these, at most 4 KiB each, the one that was stored longest ago is forgotten."""
MAX_TAGS = 4096
"""Tags of others that are remembered here, each for two days; py-libp2p knows no limit."""
LEFT_PER_WINDOW = 100
"""Records and tags that one peer may leave here in ``WINDOW_S``."""
WINDOW_S = 10.0


def check(key: str, value: bytes, *, now: float) -> NodeRecord:
    """The verified record of a DHT entry.

    Raises:
        RecordError: forged, expired, oversized, or stored under another peer's key.
        RemoteProtocolError: not a signed ``NodeRecord``.
    """
    body, signer = verify(value, now=now, max_bytes=DHT_RECORD_BYTES)
    if not isinstance(body, NodeRecord):
        raise RemoteProtocolError(f"the DHT holds node records, not {type(body).__name__}")
    if dht_key(signer) != key:
        raise ForgedRecordError(f"a record of {signer} lies under the key of somebody else")
    return body


class KadStore:
    """Records and tags, and the answers to questions about them.

    Args:
        host: Whose address book goes into answers.
        table: The peers that answers name as nearer.
        now: Unix seconds.
    """

    def __init__(self, host: IHost, table: RoutingTable, *, now: Callable[[], float]) -> None:
        self._host, self._table, self._now = host, table, now
        self.records: dict[str, bytes] = {}
        """Checked when they came; the one that was stored longest ago is first."""
        self.providers = ProviderStore(host)
        self._window_end = 0.0
        self._left: Counter[ID] = Counter()
        self._answers = {
            Message.PING: self._ping,
            Message.FIND_NODE: self._find_node,
            Message.GET_VALUE: self._get_value,
            Message.PUT_VALUE: self._put_value,
            Message.GET_PROVIDERS: self._get_providers,
            Message.ADD_PROVIDER: self._add_provider,
        }

    def answer(self, asker: ID, question: Message) -> Message | None:
        """The answer to a question of a peer, or None to refuse it."""
        if len(question.key) > MAX_KEY_BYTES:
            return None
        answers = self._answers.get(question.type)
        return answers(asker, question) if answers else None

    def hold(self, key: str, value: bytes) -> None:
        """Keeps a checked record for whoever asks for it."""
        self.records.pop(key, None)
        self.records[key] = value
        if len(self.records) > MAX_RECORDS:
            del self.records[next(iter(self.records))]

    def held(self, key: str) -> bytes:
        """The local copy under a key, or nothing."""
        return self.records.get(key, b"")

    def sweep(self) -> None:
        """Forgets expired records and providers."""
        for key, value in list(self.records.items()):
            if not _is_good(key, value, now=self._now()):
                del self.records[key]
        self.providers.cleanup_expired()

    def _ping(self, _: ID, __: Message) -> Message:
        return Message(type=Message.PING)

    def _find_node(self, asker: ID, question: Message) -> Message:
        answer = Message(type=Message.FIND_NODE)
        self._add_closer(answer, question.key, asker)
        return answer

    def _get_value(self, asker: ID, question: Message) -> Message:
        answer = Message(type=Message.GET_VALUE, key=question.key)
        if value := self.held(question.key.decode(errors="replace")):
            answer.record.CopyFrom(Record(key=question.key, value=value))
        self._add_closer(answer, question.key, asker)
        return answer

    def _put_value(self, asker: ID, question: Message) -> Message | None:
        key, value = question.key.decode(errors="replace"), question.record.value
        if not self._may_leave(asker) or not _is_good(key, value, now=self._now()):
            return None
        held = self.held(key)
        # A repeat is accepted.
        if held and _age(held) > _age(value):
            return None
        self.hold(key, value)
        answer = Message(type=Message.PUT_VALUE, key=question.key)
        answer.record.CopyFrom(question.record)
        return answer

    def _get_providers(self, asker: ID, question: Message) -> Message:
        answer = Message(type=Message.GET_PROVIDERS, key=question.key)
        for provider in self.providers.get_providers(question.key):
            answer.providerPeers.add(**_fields(provider))
        self._add_closer(answer, question.key, asker)
        return answer

    def _add_provider(self, asker: ID, question: Message) -> Message | None:
        known = self.providers.providers
        has_room = question.key in known or len(known) < MAX_TAGS
        if not question.key or not has_room or not self._may_leave(asker):
            return None
        for provider in contacts(question.providerPeers):
            if provider.peer_id == asker:  # nobody announces for others
                self.providers.add_provider(question.key, provider)
        return Message(type=Message.ADD_PROVIDER, key=question.key)

    def _may_leave(self, asker: ID) -> bool:
        if self._now() >= self._window_end:
            self._window_end = self._now() + WINDOW_S
            self._left.clear()
        self._left[asker] += 1
        return self._left[asker] <= LEFT_PER_WINDOW

    def _add_closer(self, answer: Message, key: bytes, asker: ID) -> None:
        for peer in self._table.find_local_closest_peers(key, BUCKET_SIZE):
            if peer != asker:
                answer.closerPeers.add(**_fields(known_contact(self._host, peer)))


def _fields(contact: PeerInfo) -> dict[str, Any]:
    addresses = [address.to_bytes() for address in contact.addrs]
    return {"id": contact.peer_id.to_bytes(), "addrs": addresses}


def _is_good(key: str, value: bytes, *, now: float) -> bool:
    try:
        check(key, value, now=now)
    except P2PGridError:
        return False
    return True


def _age(value: bytes) -> tuple[int, bytes]:
    record = SignedRecord.decode(value)
    return record.body().seq, record.payload

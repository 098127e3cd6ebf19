"""Records from elsewhere: believed for their signature, never for who handed them over."""

import time

from p2pgrid.errors import ForgedRecordError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.messages import MAX_RECORD_BYTES
from p2pgrid.protocol.records import Body, DatasetRecord, NodeRecord, verify


def read_node(record: bytes, peer_id: PeerId) -> NodeRecord:
    """What a node says about itself.

    Raises:
        RecordError: it is forged, expired, oversized, or no node's.
    """
    body, _ = _verified(record, peer_id)
    if not isinstance(body, NodeRecord):
        raise ForgedRecordError("a dataset's record was given for a node's")
    return body


def read_dataset(record: bytes, peer_id: PeerId | None = None) -> tuple[DatasetRecord, PeerId]:
    """What a domain says about a dataset, and which domain that is; ``peer_id`` if it is given.

    Raises:
        RecordError: it is forged, expired, oversized, or no dataset's.
    """
    body, signer = _verified(record, peer_id)
    if not isinstance(body, DatasetRecord):
        raise ForgedRecordError("a node's record was given for a dataset's")
    return body, signer


def _verified(record: bytes, peer_id: PeerId | None) -> tuple[Body, PeerId]:
    return verify(record, now=time.time(), expect_peer=peer_id, max_bytes=MAX_RECORD_BYTES)

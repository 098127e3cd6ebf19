"""A prepared dataset as a message and the arrays that go with it."""

import secrets
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from p2pgrid.client.dataset_model import Dataset
from p2pgrid.client.frames import shaped
from p2pgrid.client.publication import Parcel, parcels_of
from p2pgrid.client.tensors import Tensor
from p2pgrid.config import Limits
from p2pgrid.ids import ID_BYTES
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.entity_table import encode_entities
from p2pgrid.protocol.messages import NewPart, NewTensor, PartKind, Publish
from p2pgrid.protocol.records import Split
from p2pgrid.protocol.storage import arrays_of


class Upload(NamedTuple):
    """What is sent of a dataset."""

    message: Publish
    parcels: tuple[Parcel, ...]


class _Stored(NamedTuple):
    split: Split
    tensor: str
    column: str
    array: Array


class _Part(NamedTuple):
    kind: PartKind
    split: Split
    array: Array


def upload_of(
    dataset: Dataset,
    *,
    allowed: tuple[str, ...],
    allowed_domains: tuple[str, ...],
    announce: bool,
    secret: bytes,
    limits: Limits,
) -> Upload:
    """Everything that a domain gets of a dataset, under ids of its own.

    Args:
        dataset: what to publish.
        allowed: names of accounts that may take it home.
        allowed_domains: peer ids of domains to which it may move.
        announce: whether the DHT is told of its tags.
        secret: the domain's, for ids of entities.
        limits: of the domain.
    """
    stored, parts = list(_stored_in(dataset)), list(_parts_of(dataset, secret))
    arrays = [(f"{it.tensor} {it.column}".strip(), it.array) for it in stored]
    arrays += [(part.kind, part.array) for part in parts]
    parcels = parcels_of(arrays, limits=limits)
    message = Publish(
        dataset_id=secrets.token_bytes(ID_BYTES),
        name=dataset.name,
        description=dataset.description,
        tags=dataset.tags,
        allowed=allowed,
        announce=announce,
        tensors=tuple(
            NewTensor(it.tensor, p.object_id, p.header, p.uploaded, it.split, it.column)
            for it, p in zip(stored, parcels, strict=False)
        ),
        allowed_domains=allowed_domains,
        parts=tuple(
            NewPart(part.kind, p.object_id, p.header, p.uploaded, part.split)
            for part, p in zip(parts, parcels[len(stored) :], strict=True)
        ),
        schema=dataset.schema,
        metadata=dataset.metadata,
        private=dataset.private,
        version=dataset.version,
    )
    return Upload(message, parcels)


def _stored_in(dataset: Dataset) -> Iterator[_Stored]:
    for split, tensors in dataset.splits.items():
        for name, tensor in tensors.items():
            for column, array in _arrays_in(tensor):
                yield _Stored(split, name, column, array)


def _arrays_in(tensor: Tensor) -> list[tuple[str, Array]]:
    """Its arrays; only what has to become one array is copied."""
    stored = arrays_of(tensor.schema)
    if tensor.schema.is_one_array:
        return [("", shaped(tensor.schema, tensor.columns))]
    return [(it.column, tensor.columns[it.column]) for it in stored]


def _parts_of(dataset: Dataset, secret: bytes) -> Iterator[_Part]:
    table = encode_entities(dataset.entities.table(secret))
    yield _Part("entities", "train", np.frombuffer(table, np.uint8))
    for split in dataset.splits:
        owners = dataset.entities.rows[split]
        if owners.owners is not None:
            yield _Part("owners", split, owners.index().astype(np.uint32))
    if dataset.raw is not None:
        yield _Part("raw", "train", np.frombuffer(dataset.raw, np.uint8))

"""Publishing and finding datasets."""

from typing import Annotated, Literal

from msgspec import Meta, field

from p2pgrid.protocol.arrays import ArrayHeader
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages.base import (
    MAX_RECORDS,
    BaseMessage,
    Id,
    Name,
    OptionalName,
    Peer,
    Record,
    Records,
    Tags,
    Text,
)
from p2pgrid.protocol.queries import Query
from p2pgrid.protocol.records import MAX_ARRAYS, PublicMetadata, Split
from p2pgrid.protocol.schemas import DatasetSchema

MAX_PARTS = 8
MAX_VERSION = 2**32

PartKind = Literal["raw", "entities", "owners"]
"""What a dataset was made of, whom it is about, and whose the rows of a split are."""

Place = Annotated[int, Meta(ge=0, lt=1 << 62)]
"""Where a page begins in what was found; whoever gave it knows what it means."""


class NewTensor(BaseMessage, frozen=True, tag="new-tensor"):
    """An array of a dataset that is being published; its id is chosen by the publisher.

    Its values are in the frame, or they were ``uploaded`` before under the same id. The array is
    the whole tensor ``name`` of a split, or a ``column`` of it.
    """

    name: Name
    object_id: Id
    header: ArrayHeader
    uploaded: bool = False
    split: Split = "train"
    column: OptionalName = ""


class NewPart(BaseMessage, frozen=True, tag="new-part"):
    """What only owners may read of a dataset that is being published.

    ``raw`` is bytes, uint8 of shape (n,); ``entities`` an encoded ``EntityTable``, likewise;
    ``owners`` uint32 of shape (rows,): the number of the entity of each row of a split.
    """

    kind: PartKind
    object_id: Id
    header: ArrayHeader
    uploaded: bool = False
    split: Split = "train"


class Publish(BaseMessage, frozen=True, tag="publish"):
    """An owner publishes a dataset; repeating it with the same id changes nothing.

    Another dataset of the same name is its next version. One with a ``schema`` has ``entities``
    among its parts; of ``owners`` there are as many as splits, or none: then each row is an entity
    of its own, counted through train, dev and test.
    """

    dataset_id: Id
    name: Name
    description: Text
    tags: Tags
    allowed: Annotated[tuple[Name, ...], Meta(max_length=10_000)]
    announce: bool
    tensors: Annotated[tuple[NewTensor, ...], Meta(min_length=1, max_length=MAX_ARRAYS)]
    allowed_domains: Annotated[tuple[Peer, ...], Meta(max_length=256)] = ()
    """Domains to which its values, and what derives from them, may move."""
    parts: Annotated[tuple[NewPart, ...], Meta(max_length=MAX_PARTS)] = ()
    schema: DatasetSchema | None = None
    metadata: PublicMetadata = field(default_factory=dict)
    private: bool = True
    """False: every account of the domain may take the values home."""
    version: Annotated[int, Meta(ge=1, le=MAX_VERSION)] = 1
    """The number that it gets at least."""


class Published(BaseMessage, frozen=True, tag="published"):
    """The dataset is durable and listed; here is its signed record."""

    record: Record


class AskEntitySecret(BaseMessage, frozen=True, tag="ask-entity-secret"):
    """An owner asks for the key of which the domain's ids of entities are made."""


class EntitySecret(BaseMessage, frozen=True, tag="entity-secret"):
    """The same for all owners, datasets and times; no other domain has it."""

    secret: Annotated[bytes, Meta(min_length=32, max_length=32)]


class ListParts(BaseMessage, frozen=True, tag="list-parts"):
    """An owner asks for the private parts of a dataset; each is an object like others."""

    dataset_id: Id


class Part(BaseMessage, frozen=True, tag="part"):
    """A private part of a published dataset; see ``NewPart``."""

    kind: PartKind
    object_id: Id
    header: ArrayHeader
    split: Split = "train"


class Parts(BaseMessage, frozen=True, tag="parts"):
    """The private parts of a dataset."""

    parts: Annotated[tuple[Part, ...], Meta(max_length=MAX_PARTS)]


class ListDatasets(BaseMessage, frozen=True, tag="list-datasets"):
    """Anyone asks a domain for the records of its datasets that match."""

    query: Query = Query()
    after: Place = 0
    """``next`` of the answer before; 0: from the beginning."""


class Search(BaseMessage, frozen=True, tag="search"):
    """Anyone asks a network for the records of datasets that match; not for all that there are."""

    query: Query
    after: Place = 0
    """``next`` of the answer before; 0: from the beginning."""
    limit: Annotated[int, Meta(ge=1, le=MAX_RECORDS)] = MAX_RECORDS


class Found(BaseMessage, frozen=True, tag="found"):
    """Signed dataset records, as many as fit into an answer.

    ``counts`` is how much matches in all: the word of who answers, and only with the first page.
    """

    records: Records
    next: Place = 0
    """Where the next page begins; 0: there is none."""
    counts: Counts | None = None
    offline: Annotated[
        tuple[Annotated[int, Meta(ge=0, lt=MAX_RECORDS)], ...], Meta(max_length=MAX_RECORDS)
    ] = ()
    """Which of the records, by number, are of domains that a network cannot reach now."""


class Join(BaseMessage, frozen=True, tag="join"):
    """A domain lists itself and its datasets at a network, until the records expire.

    A listing may take several of these, with the same ``node``: all but the last say that there
    is ``more``. What it does not name is forgotten with the last.
    """

    node: Record
    datasets: Records
    more: bool = False

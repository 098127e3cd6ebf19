"""Publishing and finding datasets."""

from typing import Annotated

from msgspec import Meta

from p2pgrid.protocol.arrays import ArrayHeader
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages.base import (
    MAX_RECORDS,
    BaseMessage,
    Id,
    Name,
    Peer,
    Record,
    Records,
    Tags,
    Text,
)
from p2pgrid.protocol.queries import Query
from p2pgrid.protocol.records import MAX_ARRAYS

Place = Annotated[int, Meta(ge=0, lt=1 << 62)]
"""Where a page begins in what was found; whoever gave it knows what it means."""


class NewTensor(BaseMessage, frozen=True, tag="new-tensor"):
    """A tensor of a dataset that is being published; its id is chosen by the publisher.

    Its values are in the frame, or they were ``uploaded`` before under the same id.
    """

    name: Name
    object_id: Id
    header: ArrayHeader
    uploaded: bool = False


class Publish(BaseMessage, frozen=True, tag="publish"):
    """An owner publishes a dataset; repeating it with the same id changes nothing."""

    dataset_id: Id
    name: Name
    description: Text
    tags: Tags
    allowed: Annotated[tuple[Name, ...], Meta(max_length=10_000)]
    announce: bool
    tensors: Annotated[tuple[NewTensor, ...], Meta(min_length=1, max_length=MAX_ARRAYS)]
    allowed_domains: Annotated[tuple[Peer, ...], Meta(max_length=256)] = ()
    """Domains to which its values, and what derives from them, may move."""


class Published(BaseMessage, frozen=True, tag="published"):
    """The dataset is durable and listed; here is its signed record."""

    record: Record


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


class Join(BaseMessage, frozen=True, tag="join"):
    """A domain lists itself and its datasets at a network, until the records expire.

    A listing may take several of these, with the same ``node``: all but the last say that there
    is ``more``. What it does not name is forgotten with the last.
    """

    node: Record
    datasets: Records
    more: bool = False

"""Publishing and finding datasets."""

from typing import Annotated

from msgspec import Meta

from p2pgrid.protocol.arrays import ArrayHeader
from p2pgrid.protocol.messages.base import BaseMessage, Id, Name, Peer, Record, Records, Tags, Text
from p2pgrid.protocol.records import MAX_ARRAYS


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
    """Anyone asks a domain for the records of datasets that have all these tags."""

    tags: Tags = ()


class Search(BaseMessage, frozen=True, tag="search"):
    """Anyone asks a network for the records of datasets that have all these tags."""

    tags: Tags


class Found(BaseMessage, frozen=True, tag="found"):
    """Signed dataset records; ``partial`` when more matched than are given."""

    records: Records
    partial: bool = False


class Join(BaseMessage, frozen=True, tag="join"):
    """A domain lists itself and its datasets at a network, until the records expire."""

    node: Record
    datasets: Records

"""Publishing a dataset: large arrays first, one by one; then the message that lists them all.

Nothing is listed before every array is durable at the domain. After a lost answer the message is
sent again: the domain knows the dataset by its id and lists it once.
"""

import secrets
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from p2pgrid.client.progress import CountBar
from p2pgrid.client.transfers import Transfers, Wishes
from p2pgrid.config import Limits, Timing
from p2pgrid.errors import TooLargeError, TransportError
from p2pgrid.ids import ID_BYTES, DatasetId, ObjectId
from p2pgrid.net.bulk_carrier import Patience, close_transfers, patient_s
from p2pgrid.net.bulk_ends import ArraySource
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Link
from p2pgrid.protocol.arrays import Array, ArrayHeader, header_of, raw_bytes
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.messages import Opened, OpenUpload, Publish, Published
from p2pgrid.protocol.record_room import require_room
from p2pgrid.protocol.records import MAX_ARRAYS, DatasetRecord, TensorInfo

ABANDON_S = 2.0
"""How long the domain may take to clear away what was not published."""


class Parcel(NamedTuple):
    """An array to publish: how it is named on the way, and its values."""

    label: str
    object_id: bytes
    header: ArrayHeader
    uploaded: bool
    """Before the message; the others travel in it."""
    array: Array


def parcels_of(arrays: Sequence[tuple[str, Array]], *, limits: Limits) -> tuple[Parcel, ...]:
    """Names every array, and decides which travel in the message: small ones, while they fit.

    Args:
        arrays: what each is called for people, and its values.
        limits: of the domain.

    Raises:
        TooLargeError: there are too many.
    """
    if len(arrays) > MAX_ARRAYS:
        raise TooLargeError(what="number of arrays", size=len(arrays), limit=MAX_ARRAYS)
    parcels = []
    inline = inline_bytes = 0
    for label, array in arrays:
        fits = inline_bytes + array.nbytes <= limits.frame // 2
        uploaded = array.nbytes > limits.inline_array or not fits
        header = header_of(array, buffer=0 if uploaded else inline)
        if not uploaded:
            inline += 1
            inline_bytes += array.nbytes
        object_id = secrets.token_bytes(ID_BYTES)
        parcels.append(Parcel(label, object_id, header, uploaded, array))
    return tuple(parcels)


class Publication:
    """One dataset on its way to a domain."""

    def __init__(
        self,
        message: Publish,
        parcels: Sequence[Parcel],
        *,
        transfers: Transfers,
        link: Callable[[], Link],
        timing: Timing,
        wishes: Wishes,
    ) -> None:
        self._message = message
        self._uploads = [parcel for parcel in parcels if parcel.uploaded]
        self._inline = [parcel.array for parcel in parcels if not parcel.uploaded]
        self._transfers, self._link = transfers, link
        self._timing, self._wishes = timing, wishes
        self._timeout_s = patient_s(sum(parcel.array.nbytes for parcel in parcels), timing)
        self._last_link: Link | None = None

    def carry_out(self) -> Published:
        """Uploads and publishes; what does not end well leaves nothing at the domain.

        Raises:
            P2PGridError: see ``DomainClient.publish``.
        """
        require_room(_record_of(self._message))
        title, count = f"Uploading: {self._message.name}", self._left(())
        try:
            with CountBar(title, count, progress=self._wishes.progress) as bar:
                for number, parcel in enumerate(self._uploads):
                    self._upload(parcel)
                    bar.update(count - self._left(self._uploads[: number + 1]))
                published = self._publish()
                bar.update(count)
        except BaseException:
            self._abandon()
            raise
        return published

    def _left(self, uploaded: Sequence[Parcel]) -> int:
        """How many tensors are not whole at the domain when these arrays are."""
        there = {parcel.object_id for parcel in uploaded}
        tensors = self._message.tensors
        return len({(it.split, it.name) for it in tensors if it.object_id not in there})

    def _upload(self, parcel: Parcel) -> None:
        header = parcel.header
        timeout_s = patient_s(parcel.array.nbytes, self._timing)

        def open_(transfer_id: bytes, _: int) -> tuple[Link, Opened]:
            link = self._last_link = self._link()
            message = OpenUpload(transfer_id, header.dtype, header.shape)
            return link, ask(link, message, Opened, timeout_s=timeout_s)

        self._transfers.upload(
            parcel.object_id,
            ArraySource(parcel.array),
            open_,
            label=parcel.label,
            wishes=self._wishes,
        )

    def _publish(self) -> Published:
        buffers = [raw_bytes(array) for array in self._inline]
        patience = Patience(self._timing.patience_s, self._wishes.stop or threading.Event())
        while True:
            try:
                return ask(
                    self._link(), self._message, Published, buffers, timeout_s=self._timeout_s
                )
            except TransportError as error:
                if not self._uploads:
                    raise
                patience.pause(error)

    def _abandon(self) -> None:
        if self._last_link is not None:
            ids = [parcel.object_id for parcel in self._uploads]
            close_transfers(self._last_link, ids, wait_s=ABANDON_S)


def _record_of(message: Publish) -> DatasetRecord:
    """What will be public of the dataset, but for what the domain adds."""
    tensors = tuple(
        TensorInfo(
            name=new.name,
            object_id=ObjectId(new.object_id),
            shape=new.header.shape,
            dtype=new.header.dtype,
            split=new.split,
            column=new.column,
        )
        for new in message.tensors
    )
    return DatasetRecord(
        domain="",
        dataset_id=DatasetId(message.dataset_id),
        name=message.name,
        description=message.description,
        tags=message.tags,
        tensors=tensors,
        version=0,
        seq=0,
        expires=0,
        schema=message.schema,
        metadata=message.metadata,
        worst_case_user_budget=None if message.schema is None else UserBudget(),
        private=message.private,
    )

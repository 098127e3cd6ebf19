"""Publishing a dataset: large arrays first, one by one; then the message that lists them all.

Nothing is listed before every array is durable at the domain. After a lost answer the message is
sent again: the domain knows the dataset by its id and lists it once.
"""

import secrets
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from p2pgrid.client.transfers import Transfers, Wishes
from p2pgrid.config import Limits, Timing
from p2pgrid.errors import TransportError
from p2pgrid.ids import ID_BYTES
from p2pgrid.net.bulk_carrier import Patience, close_transfers, patient_s
from p2pgrid.net.bulk_ends import ArraySource
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Link
from p2pgrid.protocol.arrays import Array, ArrayHeader, header_of, raw_bytes
from p2pgrid.protocol.messages import Opened, OpenUpload, Publish, Published

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
    """
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
        self._message, self._parcels = message, parcels
        self._uploads = [parcel for parcel in parcels if parcel.uploaded]
        self._inline = [parcel.array for parcel in parcels if not parcel.uploaded]
        self._transfers, self._link = transfers, link
        self._timing, self._wishes = timing, wishes
        self._last_link: Link | None = None

    def carry_out(self) -> Published:
        """Uploads and publishes; what does not end well leaves nothing at the domain.

        Raises:
            P2PGridError: see ``DomainClient.publish``.
        """
        labels = dict.fromkeys(parcel.label for parcel in self._parcels)
        title = f"Uploading: {self._message.name}"
        with CountBar(title, len(labels), progress=self._wishes.progress) as bar:
            try:
                for number, parcel in enumerate(self._uploads):
                    self._upload(parcel)
                    left = {
                        it.label for it in self._parcels if it not in self._uploads[: number + 1]
                    }
                    bar.update(len(labels) - len(left))
                published = self._publish()
            except BaseException:
                self._abandon()
                raise
            bar.update(len(labels))
        return published

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
                return ask(self._link(), self._message, Published, buffers)
            except TransportError as error:
                if not self._uploads:
                    raise
                patience.pause(error)

    def _abandon(self) -> None:
        if self._last_link is not None:
            ids = [parcel.object_id for parcel in self._uploads]
            close_transfers(self._last_link, ids, wait_s=ABANDON_S)

"""Publishing a dataset: large arrays first, one by one; then the message that lists them all.

Nothing is listed before every array is durable at the domain. After a lost answer the message is
sent again: the domain knows the dataset by its id and lists it once.
"""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from p2pgrid.client.transfers import Transfers, Wishes
from p2pgrid.config import Limits, Timing
from p2pgrid.errors import TransportError
from p2pgrid.ids import ID_BYTES
from p2pgrid.net.bulk_carrier import Patience, close_transfers, patient_s
from p2pgrid.net.bulk_ends import ArraySource
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Link
from p2pgrid.protocol.arrays import Array, header_of, raw_bytes
from p2pgrid.protocol.messages import NewTensor, Opened, OpenUpload, Publish, Published

ABANDON_S = 2.0
"""How long the domain may take to clear away what was not published."""


class Parcel(NamedTuple):
    """A tensor to publish, with its values."""

    tensor: NewTensor
    array: Array


def parcels_of(arrays: Mapping[str, Array], *, limits: Limits) -> tuple[Parcel, ...]:
    """Names every array, and decides which travel in the message: small ones, while they fit."""
    parcels = []
    inline = inline_bytes = 0
    for name, array in arrays.items():
        fits = inline_bytes + array.nbytes <= limits.frame // 2
        uploaded = array.nbytes > limits.inline_array or not fits
        header = header_of(array, buffer=0 if uploaded else inline)
        if not uploaded:
            inline += 1
            inline_bytes += array.nbytes
        tensor = NewTensor(name, secrets.token_bytes(ID_BYTES), header, uploaded)
        parcels.append(Parcel(tensor, array))
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
        self._uploads = [parcel for parcel in parcels if parcel.tensor.uploaded]
        self._inline = [parcel.array for parcel in parcels if not parcel.tensor.uploaded]
        self._transfers, self._link = transfers, link
        self._timing, self._wishes = timing, wishes
        self._last_link: Link | None = None

    def carry_out(self) -> Published:
        """Uploads and publishes; what does not end well leaves nothing at the domain.

        Raises:
            P2PGridError: see ``DomainClient.publish``.
        """
        try:
            for parcel in self._uploads:
                self._upload(parcel)
            return self._publish()
        except BaseException:
            self._abandon()
            raise

    def _upload(self, parcel: Parcel) -> None:
        header = parcel.tensor.header
        timeout_s = patient_s(parcel.array.nbytes, self._timing)

        def open_(transfer_id: bytes, _: int) -> tuple[Link, Opened]:
            link = self._last_link = self._link()
            message = OpenUpload(transfer_id, header.dtype, header.shape)
            return link, ask(link, message, Opened, timeout_s=timeout_s)

        self._transfers.upload(
            parcel.tensor.object_id,
            ArraySource(parcel.array),
            open_,
            label=parcel.tensor.name,
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
            ids = [parcel.tensor.object_id for parcel in self._uploads]
            close_transfers(self._last_link, ids, wait_s=ABANDON_S)

"""The objects of one session, as the gateway sees them: labels, never values.

Rule 1: an object is named once, under the prefix that the domain gave to the session: names go
up, so that a freed one never comes to mean something else.
Rule 2: operands are looked up here; what a client claims about them is not asked for.
Rule 3: an object that failed poisons what depends on it, with the first failure, as long as it is
not freed and is among the last ``session_objects`` that failed.
Rule 4: a session holds at most ``session_objects`` objects and ``session_bytes`` bytes.
"""

from collections.abc import Mapping, Sequence

from p2pgrid.config import Limits
from p2pgrid.errors import ObjectGoneError, P2PGridError, QuotaExceededError, RemoteProtocolError
from p2pgrid.ids import DatasetId, ObjectId, short
from p2pgrid.policy.access import Label, Sources
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import ArrayHeader, claimed_bytes, dtype_named
from p2pgrid.protocol.messages import Failure, Op
from p2pgrid.protocol.operations import REGISTRY, ArrayMeta, Operand, infer

PREFIX_BYTES = 8
NAME_BYTES = 8


class SessionObjects:
    """Labels of the objects that one session made; see the rules at the head of the module."""

    def __init__(
        self, prefix: bytes, catalog: Mapping[ObjectId, Label], *, limits: Limits, domain: str
    ) -> None:
        self.prefix = prefix
        self._catalog = catalog
        self._limits = limits
        self._domain = domain
        self._labels: dict[bytes, Label] = {}
        self._failed: dict[bytes, Failure] = {}
        self._last = prefix
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def last(self) -> bytes:
        """The last name that was admitted or refused, without the prefix."""
        return self._last[PREFIX_BYTES:].ljust(NAME_BYTES, b"\0")

    @property
    def sources(self) -> Sources:
        """The datasets that the objects derive from."""
        return frozenset[DatasetId]().union(*{label.sources for label in self._labels.values()})

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that the objects take, with what calls return; datasets not counted."""
        return self._bytes

    def admit(self, op: Op, buffer_sizes: Sequence[int] = ()) -> Failure | None:
        """Checks an operation and labels its result; the failure when it must not run.

        ``buffer_sizes`` are those of the arrays that came with it, in bytes.

        Raises:
            RemoteProtocolError: the operation is no request that our client would make.
        """
        out = op.out
        self.take_name(out)
        first = self.first_failure(op)
        if first is not None:
            return self.poison(out, first)
        try:
            label = self._label_of(op, buffer_sizes)
            self._charge(label)
        except P2PGridError as error:
            if not faults.is_public(error):
                raise
            return self.poison(out, faults.failure_of(error))
        self._labels[out] = label
        return None

    def take_name(self, out: bytes) -> None:
        """Uses a name up, for an object that may be kept elsewhere.

        Raises:
            RemoteProtocolError: it was used, or is none of this session.
        """
        if out[:PREFIX_BYTES] != self.prefix or out <= self._last:
            raise RemoteProtocolError(f"{short(out)} is not a fresh name of this session")
        self._last = out

    def poison(self, out: bytes, failure: Failure) -> Failure:
        """Notes that an object failed; it has no label from here on."""
        self.free(out)
        self._failed[out] = failure
        if len(self._failed) > self._limits.session_objects:
            del self._failed[next(iter(self._failed))]
        return failure

    def free(self, object_id: bytes) -> None:
        """Forgets an object of this session; others are left alone."""
        label = self._labels.pop(object_id, None)
        if label is not None and not label.borrowed:
            self._bytes -= label.meta.nbytes
        self._failed.pop(object_id, None)

    def charge(self, size: int) -> None:
        """Takes bytes of the session's quota, for an object that may be kept elsewhere.

        Raises:
            QuotaExceededError: there are not so many left.
        """
        needed, limit = self._bytes + size, self._limits.session_bytes
        if needed > limit:
            raise QuotaExceededError(what="bytes", needed=needed, limit=limit)
        self._bytes = needed

    def discharge(self, size: int) -> None:
        """Gives bytes back."""
        self._bytes -= size

    def find(self, object_id: bytes) -> Label:
        """The label of an object of this session or of a dataset.

        Raises:
            ObjectGoneError: there is no such object for this session.
            P2PGridError: the failure with which it was poisoned.
        """
        label = self._labels.get(object_id) or self._catalog.get(ObjectId(object_id))
        if label is not None:
            return label
        if object_id in self._failed:
            raise faults.error_of(self._failed[object_id])
        raise ObjectGoneError(object_id=short(object_id), domain=self._domain)

    def _label_of(self, op: Op, buffer_sizes: Sequence[int]) -> Label:
        operands: list[Operand] = []
        labels: list[Label] = []
        for operand in op.inputs:
            if isinstance(operand, bytes):
                label = self.find(operand)
                labels.append(label)
                operands.append(label.meta)
            elif isinstance(operand, ArrayHeader):
                operands.append(_literal(operand, buffer_sizes))
            else:
                operands.append(operand)
        if not labels:
            raise RemoteProtocolError(f"{op.name} names no object of the domain")
        meta = infer(op.name, operands, op.params)
        borrowed = labels[0].borrowed and REGISTRY[op.name].is_view_of(len(op.inputs))
        return Label(meta, _joined(labels), borrowed)

    def _charge(self, label: Label) -> None:
        if len(self._labels) + len(self._failed) >= self._limits.session_objects:
            limit = self._limits.session_objects
            raise QuotaExceededError(what="objects", needed=limit + 1, limit=limit)
        if not label.borrowed:
            self.charge(label.meta.nbytes)

    def first_failure(self, op: Op) -> Failure | None:
        """The failure of the first operand that failed; None when none did."""
        for operand in op.inputs:
            if isinstance(operand, bytes) and operand in self._failed:
                return self._failed[operand]
        return None


def _literal(header: ArrayHeader, buffer_sizes: Sequence[int]) -> ArrayMeta:
    claimed = claimed_bytes(header)
    if header.buffer >= len(buffer_sizes) or buffer_sizes[header.buffer] != claimed:
        raise RemoteProtocolError(f"no buffer of {claimed:,} bytes came for an operand")
    return ArrayMeta(header.shape, dtype_named(header.dtype), is_literal=True)


def _joined(labels: list[Label]) -> Sources:
    sources = labels[0].sources
    for label in labels[1:]:
        if label.sources is not sources:
            sources = sources | label.sources
    return sources

"""A session over two tensors of a dataset, and operations for it."""

import numpy as np

from p2pgrid.config import Limits
from p2pgrid.ids import DatasetId, ObjectId
from p2pgrid.policy.access import Label
from p2pgrid.policy.objects import SessionObjects
from p2pgrid.protocol import faults
from p2pgrid.protocol.messages import Op, Operand, Param
from p2pgrid.protocol.operations import ArrayMeta

PREFIX = b"session!"
OTHER_PREFIX = b"session?"
ROW_BYTES = 4 * 8
HEART, LUNG = ObjectId(b"heart-values-of-"), ObjectId(b"lung--values-of-")
FOREIGN = OTHER_PREFIX + (1).to_bytes(8, "big")
CATALOG = {
    HEART: Label(ArrayMeta((3, 4), np.dtype("float64")), frozenset({DatasetId(b"h" * 16)}), True),
    LUNG: Label(ArrayMeta((4,), np.dtype("float64")), frozenset({DatasetId(b"l" * 16)}), True),
}
LOST = faults.internal("cafe")
Inputs = tuple[Operand, ...]
Params = tuple[Param, ...]


def named(number: int) -> ObjectId:
    return ObjectId(PREFIX + number.to_bytes(8, "big"))


def objects_with(*, count: int = 100, size: int = 10_000) -> SessionObjects:
    limits = Limits(session_objects=count, session_bytes=size)
    return SessionObjects(PREFIX, CATALOG, limits=limits, domain="clinic")


def op(number: int, name: str = "copy", inputs: Inputs = (LUNG,), params: Params = ()) -> Op:
    return Op(name, named(number), inputs, params)


def admitted(objects: SessionObjects, *ops: Op) -> None:
    assert [objects.admit(each) for each in ops] == [None] * len(ops)

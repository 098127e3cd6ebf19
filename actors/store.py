"""The store: all values of a domain; it carries out operations that the gateway admitted.

Datasets are files, written once, mapped read-only, never changed. Results of operations live in
memory and die with the process: a session that outlives it gets ``ObjectGoneError``. Nothing here
decides about access, and nothing here tells a value to anyone but the gateway.
"""

import logging
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from actors.examination import examine
from actors.layout import private_file
from actors.ports import DatasetEntry, Executed, Exported, FailedObject
from p2pgrid.config import DEFAULT_LIMITS
from p2pgrid.ids import ObjectId, short
from p2pgrid.net.bulk_ends import ArraySource
from p2pgrid.net.bulk_files import publish_draft, reserve
from p2pgrid.policy.objects import PREFIX_BYTES
from p2pgrid.protocol.arrays import Array, ArrayHeader, read_array
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.bulk import CHUNK_BYTES
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Op, Operate
from p2pgrid.protocol.operations import REGISTRY

log = logging.getLogger(__name__)

SPOOL = "spool"
"""Folder in the directory of objects, for results on their way out; emptied at every start."""

_operate = msgspec.msgpack.Decoder(Operate)


class TensorFiles:
    """Tensors of datasets: one ``.npy`` file each, readable by its owner only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, object_id: ObjectId, array: Array) -> None:
        """Writes, syncs, renames: the file is whole and durable, or absent."""
        with private_file(self._path(object_id)) as file:
            np.save(file, array, allow_pickle=False)

    def read(self, object_id: ObjectId) -> Array:
        """The tensor, mapped, read-only.

        Raises:
            KeyError: there is no such file.
        """
        path = self._path(object_id)
        if not path.exists():
            raise KeyError(object_id)
        mapped = np.load(path, mmap_mode="r", allow_pickle=False) if _has_data(path) else None
        array = np.load(path, allow_pickle=False) if mapped is None else np.asarray(mapped)
        array.flags.writeable = False
        return array

    def adopt(self, object_id: ObjectId) -> None:
        """Gives a whole, synced draft its name; twice is as once."""
        publish_draft(self._path(object_id))

    def remove(self, object_id: ObjectId) -> None:
        """Removes the file; what is not there is gone already."""
        self._path(object_id).unlink(missing_ok=True)

    def locate(self, object_id: ObjectId) -> Exported:
        """Where the values of a tensor are."""
        path = self._path(object_id)
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            return Exported(path, file.tell(), is_temporary=False)

    def _path(self, object_id: ObjectId) -> Path:
        return tensor_file(self._directory, object_id)


def tensor_file(directory: Path, object_id: bytes) -> Path:
    """The file of a tensor of a dataset in the directory of objects."""
    return directory / f"{object_id.hex()}.npy"


def _has_data(path: Path) -> bool:
    """An empty array has a header only, which cannot be mapped."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, _ = np.lib.format.read_array_header_1_0(file)
    return 0 not in shape


class Store:
    """Values by object id: datasets from files, session objects from memory."""

    def __init__(self, directory: Path, *, disk_spare: int = DEFAULT_LIMITS.disk_spare) -> None:
        self._files = TensorFiles(directory)
        self._disk_spare = disk_spare
        self._spool = directory / SPOOL
        self._tensors: dict[bytes, Array] = {}
        self._sessions: dict[bytes, dict[bytes, Any]] = {}

    def put(self, tensors: Sequence[tuple[ObjectId, Array]]) -> None:
        """Keeps tensors of a dataset; durable when it returns."""
        for object_id, array in tensors:
            self._files.write(object_id, array)
            log.info("tensor kept", extra={"object": short(object_id)})

    def execute(self, operations: bytes, buffers: Sequence[Buffer]) -> Executed:
        """Carries out operations in order; one that fails leaves no object."""
        started = time.perf_counter()
        request = _operate.decode(operations)
        views = [memoryview(buffer) for buffer in buffers]
        failed = []
        with np.errstate(all="ignore"):
            for op in request.ops:
                reference = self._execute_one(op, views)
                if reference is not None:
                    failed.append(FailedObject(ObjectId(op.out), reference))
        for object_id in request.free:
            self._sessions.get(object_id[:PREFIX_BYTES], {}).pop(object_id, None)
        ran_s = time.perf_counter() - started
        log.debug("operations", extra={"count": len(request.ops), "failed": len(failed)})
        return Executed(tuple(failed), ran_s)

    def get(self, object_id: ObjectId) -> Array:
        """The values of an object.

        Raises:
            KeyError: there is no such object.
        """
        log.debug("values", extra={"object": short(object_id)})
        return np.asarray(self._value(object_id))

    def adopt(self, object_ids: Sequence[ObjectId]) -> None:
        """Takes whole, synced drafts over; twice is as once."""
        for object_id in object_ids:
            self._files.adopt(object_id)

    def examine(self, entry: DatasetEntry) -> UserBudget:
        """Holds the values of a dataset against its schema; see ``StorePort``."""
        return examine(entry, self._files.read)

    def discard(self, object_ids: Sequence[ObjectId]) -> None:
        """Removes tensors that no dataset names."""
        for object_id in object_ids:
            self._files.remove(object_id)

    def export(self, object_id: ObjectId) -> Exported:
        """The values of an object as a file; see ``StorePort``."""
        session = self._sessions.get(object_id[:PREFIX_BYTES], {})
        if object_id not in session:
            self._value(object_id)
            return self._files.locate(object_id)
        return self._write_spool(np.asarray(session[object_id]))

    def drop(self, prefix: bytes) -> None:
        """Forgets all objects of a session."""
        self._sessions.pop(prefix, None)

    def drop_all(self) -> None:
        """Forgets the objects of all sessions."""
        self._sessions.clear()

    def _write_spool(self, array: Array) -> Exported:
        """Writes an array chunk by chunk, so that there is never a second copy in memory."""
        self._spool.mkdir(mode=0o700, exist_ok=True)
        path = self._spool / secrets.token_hex(16)
        source = ArraySource(array)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            try:
                reserve(file.fileno(), array.nbytes, spare=self._disk_spare)
                for offset in range(0, array.nbytes, CHUNK_BYTES):
                    file.write(source.chunk(offset, min(CHUNK_BYTES, array.nbytes - offset)))
            except BaseException:
                path.unlink()
                raise
        return Exported(path, 0, is_temporary=True)

    def _execute_one(self, op: Op, views: Sequence[memoryview]) -> str | None:
        """Carries out one operation; None, or the reference of its failure."""
        try:
            values = [self._operand(operand, views) for operand in op.inputs]
        except KeyError:
            return ""
        try:
            result = REGISTRY[op.name].compute(values, op.params)
        except (MemoryError, ArithmeticError, ValueError, TypeError, IndexError):
            reference = secrets.token_hex(4)
            log.exception("operation failed", extra={"op": op.name, "reference": reference})
            return reference
        if result.base is not None and result.flags.writeable:
            result = result.copy("K")  # a view would keep the whole operand alive
        self._sessions.setdefault(op.out[:PREFIX_BYTES], {})[op.out] = result
        return None

    def _operand(self, operand: Any, views: Sequence[memoryview]) -> Any:
        if isinstance(operand, bytes):
            return self._value(operand)
        if isinstance(operand, ArrayHeader):
            return read_array(operand, views[operand.buffer])
        return operand

    def _value(self, object_id: bytes) -> Any:
        session = self._sessions.get(object_id[:PREFIX_BYTES])
        if session is not None and object_id in session:
            return session[object_id]
        if object_id not in self._tensors:
            self._tensors[object_id] = self._files.read(ObjectId(object_id))
        return self._tensors[object_id]

"""The tensors of a dataset, split by split, as pointers."""

from collections.abc import Sequence

from p2pgrid.client.described import Description
from p2pgrid.client.home import Home
from p2pgrid.client.pointer import TensorPointer
from p2pgrid.client.table_pointer import TablePointer
from p2pgrid.errors import SchemaError
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.arrays import dtype_named
from p2pgrid.protocol.operations import ArrayMeta
from p2pgrid.protocol.records import DatasetRecord, Split, TensorInfo
from p2pgrid.protocol.schemas import SPLITS
from p2pgrid.protocol.storage import StoredArray, require_layout


def splits_of(record: DatasetRecord) -> tuple[str, ...]:
    """Which splits there are, in their order."""
    found = {tensor.split for tensor in record.tensors}
    return tuple(split for split in SPLITS if split in found)


def names_in(record: DatasetRecord, split: str) -> tuple[str, ...]:
    """The names of the tensors of a split, in the owner's order."""
    return tuple(dict.fromkeys(it.name for it in record.tensors if it.split == split))


def require_consistent(record: DatasetRecord) -> None:
    """Refuses a record of whose tensors no pointers can be made.

    Raises:
        DtypeError: an array has a dtype that there is not.
        SchemaError, SchemaMismatchError: an array comes twice, or is not what the schema says.
    """
    for info in record.tensors:
        dtype_named(info.dtype)
    if record.schema is not None:
        require_layout(record.schema, list(map(_stored, record.tensors)))
    elif len(record.tensors) > len({(it.split, it.name, it.column) for it in record.tensors}):
        raise SchemaError(field="tensors", problem="one comes twice")


def pointer_in(
    domain: Home, record: DatasetRecord, split: Split, name: str
) -> TensorPointer | TablePointer:
    """A tensor of a split: a table where each of its columns is an array.

    Raises:
        KeyError: there is none of this name; the error lists those that there are.
        SchemaMismatchError: the domain's record contradicts itself.
    """
    infos = [it for it in record.tensors if (it.split, it.name) == (split, name)]
    if not infos:
        known = ", ".join(names_in(record, split))
        raise KeyError(f"{record.name} has no tensor {name!r}; its {split} split has {known}")
    if record.schema is not None:
        require_layout(record.schema, list(map(_stored, record.tensors)))
    pointer = _pointer(domain, record, infos)
    if record.schema is not None:
        pointer.described = Description(domain, record, name, split, record.schema[name])
    return pointer


def pointer_of(domain: Home, tensor: TensorInfo) -> TensorPointer:
    """A pointer to an array of which only the public face is known.

    Raises:
        DtypeError: there is no such dtype.
    """
    meta = ArrayMeta(tensor.shape, dtype_named(tensor.dtype))
    return TensorPointer(domain, ObjectId(tensor.object_id), meta)


def _pointer(
    domain: Home, record: DatasetRecord, infos: Sequence[TensorInfo]
) -> TensorPointer | TablePointer:
    arrays = {}
    for info in infos:
        pointer = arrays[info.column] = pointer_of(domain, info)
        pointer.dataset, pointer.description, pointer.tags = (
            record.name,
            record.description,
            record.tags,
        )
    return arrays[""] if "" in arrays else TablePointer(arrays)


def _stored(info: TensorInfo) -> StoredArray:
    return StoredArray(info.split, info.name, info.column, info.dtype, info.shape)

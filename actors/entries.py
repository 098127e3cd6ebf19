"""What a publication becomes in the catalog, and what it has to be like; no value is looked at."""

from collections import Counter

from actors.ports import DatasetEntry, PartEntry, TensorEntry
from p2pgrid.errors import SchemaError, SchemaMismatchError
from p2pgrid.ids import DatasetId, ObjectId, PeerId
from p2pgrid.protocol.arrays import ArrayHeader
from p2pgrid.protocol.messages import NewPart, NewTensor, Part, Publish
from p2pgrid.protocol.metadata import public_metadata
from p2pgrid.protocol.records import normalise_tag
from p2pgrid.protocol.storage import StoredArray, require_layout

OWNERS_DTYPE, BYTES_DTYPE = "uint32", "uint8"


def entry_of(message: Publish) -> DatasetEntry:
    """The entry of a dataset; what the domain decides (version, time, budget) is not in it yet.

    Raises:
        SchemaError: a tag or metadata are not what may be public.
    """
    return DatasetEntry(
        DatasetId(message.dataset_id),
        message.name,
        message.description,
        tuple(normalise_tag(tag) for tag in message.tags),
        frozenset(message.allowed),
        message.announce,
        tuple(map(_tensor_of, message.tensors)),
        frozenset(map(PeerId, message.allowed_domains)),
        parts=tuple(map(_part_entry_of, message.parts)),
        schema=message.schema,
        metadata=public_metadata("metadata", message.metadata),
        private=message.private,
        version=message.version,
    )


def is_same(known: DatasetEntry | None, entry: DatasetEntry) -> bool:
    """Whether an entry is listed already, but for what the domain added."""
    return known is not None and entry == known._replace(
        version=entry.version, uploaded=entry.uploaded, budget=entry.budget
    )


def objects_of(entry: DatasetEntry) -> tuple[ObjectId, ...]:
    """The ids of all arrays and private parts of a dataset."""
    tensors = tuple(tensor.object_id for tensor in entry.tensors)
    return tensors + tuple(part.object_id for part in entry.parts)


def part_of(part: PartEntry) -> Part:
    """A private part, for an owner."""
    header = ArrayHeader(part.dtype, part.shape, 0)
    return Part(part.kind, part.object_id, header, part.split)


def require_fitting(entry: DatasetEntry) -> None:
    """Checks that arrays and parts are those that the schema asks for.

    Raises:
        SchemaMismatchError: an array has another name, dtype or shape, or splits differ.
        SchemaError: an array comes twice, or a part that does not belong.
    """
    if entry.schema is None:
        _require_plain(entry)
        return
    arrays = [StoredArray(t.split, t.name, t.column, t.dtype, t.shape) for t in entry.tensors]
    rows = require_layout(entry.schema, arrays)
    kinds = Counter(part.kind for part in entry.parts)
    if kinds["entities"] != 1 or kinds["raw"] > 1:
        problem = "expected one table of entities, and at most one raw file"
        raise SchemaError(field="parts", problem=problem)
    owned = sorted(part.split for part in entry.parts if part.kind == "owners")
    if owned and owned != sorted(rows):
        problem = f"are of {owned}, but there are rows of {sorted(rows)}"
        raise SchemaError(field="owners of rows", problem=problem)
    for part in entry.parts:
        _require_part(part, rows)


def _require_plain(entry: DatasetEntry) -> None:
    if entry.parts or any(t.split != "train" or t.column for t in entry.tensors):
        problem = "needed for splits, columns, and private parts"
        raise SchemaError(field="schema", problem=problem)
    if len({tensor.name for tensor in entry.tensors}) < len(entry.tensors):
        raise SchemaError(field="tensors", problem="a name comes twice")


def _require_part(part: PartEntry, rows: dict[str, int]) -> None:
    is_map = part.kind == "owners"
    shape = (rows[part.split],) if is_map else (*part.shape[:1],)
    dtype = OWNERS_DTYPE if is_map else BYTES_DTYPE
    if (part.dtype, part.shape) != (dtype, shape or (0,)):
        raise SchemaMismatchError(
            where=f"{part.split} split",
            column=f"part {part.kind!r}",
            found=f"{part.dtype} of shape {part.shape}",
            expected=f"{dtype} of shape {shape}",
        )


def _tensor_of(new: NewTensor) -> TensorEntry:
    dtype, shape = new.header.dtype, new.header.shape
    return TensorEntry(ObjectId(new.object_id), new.name, dtype, shape, new.split, new.column)


def _part_entry_of(new: NewPart) -> PartEntry:
    dtype, shape = new.header.dtype, new.header.shape
    return PartEntry(ObjectId(new.object_id), new.kind, dtype, shape, new.split)

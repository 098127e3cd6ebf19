"""Datasets to be found, and random ones with random queries for them."""

from typing import Any

from hypothesis import strategies as st

from p2pgrid.ids import DatasetId, ObjectId
from p2pgrid.protocol.queries import FORMS, Query, query_of, words_of
from p2pgrid.protocol.records import DatasetRecord, TensorInfo
from p2pgrid.protocol.text import folded


def record(**given_fields: Any) -> DatasetRecord:
    """A dataset of the public health service."""
    fields: dict[str, Any] = {
        "domain": "ucsf",
        "dataset_id": DatasetId(b"d" * 16),
        "name": "US COVID Deaths",
        "description": "Deaths by age.\nCOVID-19 mortality, with diabetes",
        "tags": ("diabetes-2", "covid", "birth records"),
        "tensors": (TensorInfo("values", ObjectId(b"o" * 16), (2,), "float32"),),
        "version": 1,
        "seq": 1,
        "expires": 1,
    }
    return DatasetRecord(**(fields | given_fields))


texts = st.text(st.sampled_from('aAbBéß\u017f\u212a ﬁ#-_ \t\n\0"*糖かक्\u0301\u0345İ'), max_size=12)
records = st.builds(
    record,
    name=texts.filter(bool),
    description=texts,
    tags=st.lists(texts.filter(bool), max_size=3).map(tuple),
)
words = texts.filter(lambda text: bool(words_of(folded(text))))


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """Any query, mostly of one form."""
    forms = draw(st.lists(st.sampled_from(sorted(FORMS)), max_size=3))
    return query_of(**{form: draw(st.lists(words, max_size=2)) for form in forms})


def queries_about(body: DatasetRecord) -> list[Query]:
    """Queries in all forms for what is in a dataset, and for pieces of it."""
    wholes = (body.name, body.description, *body.tags)
    pieces = {text[start : start + size] for text in wholes for start, size in ((0, 12), (1, 2))}
    wanted = [piece for piece in sorted(pieces) if words_of(folded(piece))]
    return [query_of(**{form: piece}) for form in FORMS for piece in wanted]

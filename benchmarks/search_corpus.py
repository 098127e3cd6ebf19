"""Made-up domains and their datasets, and what people look for among them; the same every time.

Words are as frequent as in natural text (Zipf's law): the most frequent is in nearly every
description, most are in a few. Tags and schemas are as uneven, and so are domains: a few list
hundreds of datasets, most list some.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from nacl.signing import SigningKey

from p2pgrid.ids import DatasetId, ObjectId, PeerId, peer_id_of
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.queries import Query, query_of
from p2pgrid.protocol.records import DatasetRecord, NodeRecord, TensorInfo, sign
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema

SEED = 5
WORDS, TAGS, SCHEMAS = 20_000, 3_000, 500
SYLLABLES = [a + b for a in "bcdfghklmnprstvz" for b in "aeiou"]
WITHOUT_SCHEMA = 0.2
"""The part of the datasets that has none."""
VALID_S = 3600
ADDRESS = "/ip4/192.0.2.7/tcp/4001"


class Listing(NamedTuple):
    """What one domain brings: its records, signed."""

    peer: PeerId
    node: bytes
    datasets: tuple[bytes, ...]


class Asked(NamedTuple):
    """A query, and what kind it is."""

    kind: str
    query: Query


class Corpus:
    """Words, tags and schemas, drawn by their frequency."""

    def __init__(self) -> None:
        self._chance = np.random.default_rng(SEED)
        words = ["".join(self._some(SYLLABLES, 2, 5)) for _ in range(2 * WORDS)]
        self.words = tuple(dict.fromkeys(words))[:WORDS]
        pairs = ["-".join(self.drawn(self.words, 1, 3)) for _ in range(2 * TAGS)]
        self.tags = tuple(dict.fromkeys(pairs))[:TAGS]
        self._schemas = tuple(self._schema(number) for number in range(SCHEMAS))

    def listings(self, datasets: int, domains: int) -> Iterator[Listing]:
        """This many datasets, of this many domains."""
        shares = 1 / np.arange(5, domains + 5)
        counts = 1 + (shares / shares.sum() * (datasets - domains)).astype(int)
        counts[0] += datasets - counts.sum()
        for domain, count in enumerate(counts):
            yield self._listing(domain, int(count))

    def drawn(self, texts: Sequence[str], least: int, most: int) -> list[str]:
        """At least ``least`` and less than ``most`` texts; the first ones come most often."""
        count = int(self._chance.integers(least, most))
        ranks = len(texts) ** self._chance.random(count) - 1  # log-uniform: Zipf's law
        return [texts[int(rank)] for rank in ranks]

    def queries(self, of_each: int) -> list[Asked]:
        """Queries of all kinds, in turns; half of them for words drawn as in texts, half rare."""
        return [asked for number in range(of_each) for asked in self._one_of_each(number)]

    def _one_of_each(self, number: int) -> Iterator[Asked]:
        words = self.words if number % 2 else self.words[500:]
        tags = self.tags if number % 2 else self.tags[100:]
        (word, other, third), (tag, second) = self.drawn(words, 3, 4), self.drawn(tags, 2, 3)
        name = " ".join(self.drawn(words, 2, 3))
        yield Asked("word", query_of(anywhere=word))
        yield Asked("most common words", query_of(anywhere=self.words[number % 20]))
        yield Asked("words", query_of(anywhere=[word, other]))
        yield Asked("description", query_of(description=f"{word} {other} {third}"))
        yield Asked("part of a tag", query_of(tags=tag[:5]))
        yield Asked("two letters of a tag", query_of(tags=tag[:2]))
        yield Asked("tag", query_of(tag))
        yield Asked("tags", query_of(tag, second))
        yield Asked("part of a name", query_of(name=word[:4]))
        yield Asked("name", query_of(exact_name=name))
        yield Asked("all at once", query_of(tag, anywhere=word, name=other[:3]))
        yield Asked("nothing", query_of(anywhere=f"{word}x"))

    def _listing(self, domain: int, count: int) -> Listing:
        seed = (SEED << 64 | domain).to_bytes(32, "big")
        peer = peer_id_of(bytes(SigningKey(seed).verify_key))
        expires = int(time.time()) + VALID_S
        node = NodeRecord("domain", f"domain {domain}", (ADDRESS,), 1, expires, datasets=count)
        records = (self._record(f"domain {domain}", expires) for _ in range(count))
        return Listing(
            peer,
            sign(node, signing_key=seed).encode(),
            tuple(sign(record, signing_key=seed).encode() for record in records),
        )

    def _record(self, domain: str, expires: int) -> DatasetRecord:
        schema = self.drawn_schema()
        names = () if schema is None else tuple(schema)
        return DatasetRecord(
            domain=domain,
            dataset_id=DatasetId(self._chance.bytes(16)),
            name=" ".join(self.drawn(self.words, 2, 5)),
            description=" ".join(self.drawn(self.words, 20, 60)),
            tags=tuple(self.drawn(self.tags, 2, 7)),
            tensors=tuple(
                TensorInfo(name, ObjectId(self._chance.bytes(16)), (1000, 4), "float32")
                for name in names or ("values",)
            ),
            version=1,
            seq=1,
            expires=expires,
            addresses=(ADDRESS,),
            schema=schema,
        )

    def drawn_schema(self) -> DatasetSchema | None:
        """One of the schemas, the first ones most often, or none."""
        if self._chance.random() < WITHOUT_SCHEMA:
            return None
        return self._schemas[int(SCHEMAS ** self._chance.random()) - 1]

    def _schema(self, number: int) -> DatasetSchema:
        names = dict.fromkeys(self.drawn(self.words, 2, 5))
        columns = tuple(Column(name, "float32", 0, number + 1) for name in names)
        return DatasetSchema.of(f"schema {number}", {"x": TensorSchema("x", columns)})

    def _some(self, texts: Sequence[str], least: int, most: int) -> list[str]:
        return list(self._chance.choice(texts, self._chance.integers(least, most)))

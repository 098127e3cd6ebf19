"""Datasets as searches find them, for tests: records of domains, and handles to them."""

import hashlib
import itertools
import time
from typing import NamedTuple, cast

import msgspec
from nacl.signing import SigningKey

from p2pgrid.client.datasets import DatasetPointer
from p2pgrid.client.home import Home
from p2pgrid.ids import DatasetId, ObjectId, PeerId, peer_id_of
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.records import DatasetRecord, Split, TensorInfo, sign
from p2pgrid.protocol.schemas import SPLITS, DatasetSchema, TensorSchema

HOUR_S = 3600

DEATHS = TensorSchema("deaths", (Column("deaths", "int64", 0, 1000),))
REGION = TensorSchema("region", (Column("region", "int64", 0, 99),))
COVID_MORT_2 = DatasetSchema.of("COVID-MORT-2", {"deaths": DEATHS, "region": REGION})
FLAGS = DatasetSchema.of("FLAGS", {"deaths": DEATHS})

numbers = itertools.count(1)


class Place(NamedTuple):
    """A domain of which a list shows the name."""

    name: str
    peer_id: PeerId


def seed_of(domain: str) -> bytes:
    """The key of a domain."""
    return hashlib.sha256(domain.encode()).digest()


def peer_of(domain: str) -> PeerId:
    """The peer id of a domain."""
    return peer_id_of(bytes(SigningKey(seed_of(domain)).verify_key))


def arrays(name: str, *rows: int) -> tuple[TensorInfo, ...]:
    """The arrays of a tensor in train, dev and test."""
    return tuple(
        TensorInfo(name, ObjectId(next(numbers).to_bytes(16)), (count, 1), "int64", cast(Split, s))
        for s, count in zip(SPLITS, rows, strict=False)
        if count
    )


def record(name: str = "deaths", domain: str = "UCSF", **fields: object) -> DatasetRecord:
    """What a domain says of a dataset; every call makes another one."""
    made = DatasetRecord(
        domain=domain,
        dataset_id=DatasetId(next(numbers).to_bytes(16)),
        name=name,
        description="",
        tags=("covid",),
        tensors=arrays("deaths", 4),
        version=1,
        seq=1,
        expires=int(time.time()) + HOUR_S,
    )
    return msgspec.structs.replace(made, **fields)


def signed(body: DatasetRecord, *, by: str = "") -> bytes:
    """The record as it travels, signed by its domain or somebody else."""
    return sign(body, signing_key=seed_of(by or body.domain)).encode()


def hit(body: DatasetRecord) -> DatasetPointer:
    """A handle to the dataset of a record."""
    return DatasetPointer(cast(Home, Place(body.domain, peer_of(body.domain))), body)


ABOUT = "This is the official statistics for COVID deaths within California. " * 5


def covid_datasets() -> list[DatasetPointer]:
    """The three datasets of the notebook."""
    rows = (
        ("COVID Mortality", "UCSF", 1_576_627_200, 1, (2626, 353, 366), 2019, ABOUT),
        (
            "US COVID Deaths",
            "CDC",
            1_579_305_600,
            23,
            (34632, 355, 0),
            2020,
            "Nationally\nmade",
        ),
        (
            "COVID Deaths",
            "AMA",
            1_582_156_800,
            2,
            (2352, 335, 0),
            2020,
            "risk factors like diabetes",
        ),
    )
    return [
        hit(
            record(
                name,
                domain,
                uploaded=uploaded,
                version=version,
                tensors=(*arrays("deaths", *counts), *arrays("region", *counts)),
                schema=COVID_MORT_2,
                frameworks=("PT", "TF", "PD", "NP", "JX"),
                tags=("covid", "official"),
                description=description,
                metadata={"collected": year},
            )
        )
        for name, domain, uploaded, version, counts, year, description in rows
    ]

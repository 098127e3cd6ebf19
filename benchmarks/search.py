"""100,000 datasets of 4,000 domains at one network: listing them, and finding some.

Domains' records are signed beforehand. ``ingest_per_s`` is what the registry's ``join`` takes:
every signature is verified, every text indexed, everything written to its file. ``relist_per_s``
is the same for domains that list the same again. Searches are of twelve kinds in turns, from words
that are in nearly every dataset to some that are in none; each gives a page of records and the
counts. The baseline, a scan of a SQLite table by LIKE, has to find as many. The client searches a
running network node through TLS, and verifies what it gets: the first page, or all up to its limit.
Processor time is there because the wall clock of a busy machine says little.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec

from actors.layout import NodeDirectory
from actors.registry import Registry
from benchmarks.baselines.like_scan import LikeScan, Row
from benchmarks.nodes import report
from benchmarks.search_corpus import Asked, Corpus, Listing
from p2pgrid import Client, NetworkClient, launch, stop
from p2pgrid.config import DEFAULT_LIMITS
from p2pgrid.protocol.counts import tensor_count
from p2pgrid.protocol.paging import pages_of
from p2pgrid.protocol.records import DatasetRecord, SignedRecord, verify

DATASETS, DOMAINS = 100_000, 4_000
OF_EACH, ROUNDS = 20, 3
BASELINE_OF_EACH = 4
VERIFIED = 5_000
MS = 1e3


def run(home: Path) -> dict[str, float]:
    """Makes the domains and the network, and measures."""
    corpus = Corpus()
    listings = list(corpus.listings(DATASETS, DOMAINS))
    queries = corpus.queries(OF_EACH)
    client = Client(home)
    city = launch("city", "network", isolation="actors", client=client)
    try:
        with closing(Registry(NodeDirectory(city.directory).registry)) as registry:
            result = {
                "datasets": float(DATASETS),
                **per_second("verify", VERIFIED, lambda: verify_some(listings)),
                **per_second("ingest", DATASETS, lambda: join(registry, listings)),
                **per_second("relist", DATASETS, lambda: join(registry, listings)),
                **searched(registry, queries),
                **compared(home / "like.db", listings, registry, corpus.queries(BASELINE_OF_EACH)),
            }
        result |= by_clients(home, city.address, queries[: len(queries) // ROUNDS])
    finally:
        client.close()
        stop(city.directory)
    return {**result, "load_1m": os.getloadavg()[0]}


def per_second(name: str, count: int, work: Callable[[], None]) -> dict[str, float]:
    """How many of something in a second, and in a second of processor time."""
    started, cpu_started = time.perf_counter(), time.process_time()
    work()
    took, cpu_took = time.perf_counter() - started, time.process_time() - cpu_started
    return {f"{name}_per_s": count / took, f"{name}_per_cpu_s": count / cpu_took}


def verify_some(listings: Sequence[Listing]) -> None:
    """What of listing is verifying and decoding."""
    records = [record for listing in listings for record in listing.datasets][:VERIFIED]
    for record in records:
        verify(record, now=time.time(), max_bytes=len(record))


def join(registry: Registry, listings: Sequence[Listing]) -> None:
    """Lists all domains as their nodes do, page by page."""
    for listing in listings:
        for page, is_last in pages_of(listing.datasets):
            registry.join(listing.peer, listing.node, page, more=not is_last)


def searched(registry: Registry, queries: Sequence[Asked]) -> dict[str, float]:
    """Milliseconds at the registry, and of processor time; then of the slowest kind."""
    waits: list[float] = []
    cpu_waits: list[float] = []
    by_kind: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for kind, query in queries:
            cpu_started = time.process_time()
            waits.append(milliseconds(registry.search, query))
            cpu_waits.append((time.process_time() - cpu_started) * MS)
            by_kind.setdefault(kind, []).append(cpu_waits[-1])
    slowest = max(statistics.median(each) for each in by_kind.values())
    return {
        **quantiles("search", waits),
        **quantiles("search_cpu", cpu_waits),
        "search_cpu_slowest_kind_ms_p50": slowest,
    }


def compared(
    path: Path, listings: Sequence[Listing], registry: Registry, queries: Sequence[Asked]
) -> dict[str, float]:
    """Milliseconds of the baseline and of the registry for the same queries, in turns."""
    ours: list[float] = []
    theirs: list[float] = []
    with closing(LikeScan(path, rows_of(listings))) as scan:
        for _, query in queries:
            forms = msgspec.structs.asdict(query)
            ours.append(milliseconds(registry.search, query))
            theirs.append(milliseconds(scan.search, forms))
            counts = registry.search(query).counts
            assert counts is not None
            assert counts.datasets == scan.search(forms)[1], query
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return {**quantiles("baseline_search", theirs), "search_ratio": ratio}


def by_clients(home: Path, address: str, queries: Sequence[Asked]) -> dict[str, float]:
    """Milliseconds of a scientist's program: the first page, and everything up to the limits."""
    result: dict[str, float] = {}
    for name, limits in (
        ("client_search", replace(DEFAULT_LIMITS, search_pages=1)),
        ("client_search_all", DEFAULT_LIMITS),
    ):
        with closing(Client(home, limits=limits)) as client:
            network = client.connect(address)
            assert isinstance(network, NetworkClient)
            waits = [
                milliseconds(network.search, **msgspec.structs.asdict(query))
                for _, query in queries
            ]
        result |= quantiles(name, waits)
    return result


def milliseconds(work: Callable[..., object], *args: object, **named: object) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work(*args, **named)
    return (time.perf_counter() - started) * MS


def quantiles(name: str, waits: Sequence[float]) -> dict[str, float]:
    """The median and the 95th percentile."""
    return {
        f"{name}_ms_p50": statistics.median(waits),
        f"{name}_ms_p95": statistics.quantiles(waits, n=20)[-1],
    }


def rows_of(listings: Iterable[Listing]) -> Iterable[Row]:
    """The datasets as the baseline keeps them."""
    for listing in listings:
        for record in listing.datasets:
            body = SignedRecord.decode(record).body()
            assert isinstance(body, DatasetRecord)
            schema = None if body.schema is None else body.schema.id
            texts = body.name, body.description, body.tags
            yield Row(*texts, tensor_count(body), schema, record)


if __name__ == "__main__":
    report(__doc__, run)

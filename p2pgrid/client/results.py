"""What a search found: pointers by domain, lists, counts, and what is missing or not believed."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
from typing_extensions import override

from p2pgrid.client.asking import Inquiry
from p2pgrid.client.datasets import DatasetPointer
from p2pgrid.client.distributed import DistributedDataset, group_by_schema
from p2pgrid.client.found import (
    DatasetList,
    SchemaList,
    TensorList,
    identity,
    labels,
    latest_versions,
    schemas_of,
    tensors_of,
)
from p2pgrid.protocol.counts import Counts, counts_of
from p2pgrid.protocol.text import html_table, html_text, printable, text_table

SHOWN_NOTES = 10
NOTE_LENGTH = 400


class Missing(NamedTuple):
    """Somebody of whom there is nothing, or not all."""

    name: str
    problem: str


class Rejected(NamedTuple):
    """What was not believed; records that are not believed are in no list and no count."""

    name: str
    """Who gave it."""
    problem: str
    times: int


class SearchResults(Mapping[str, list[Any]]):
    """What a search found: a mapping from the names of domains to pointers, and lists of it.

    The pointers are those of the latest version of each dataset, of its train split; see
    ``DatasetPointer``. Printed it is its five ``counts``, and what there is to say about them.

    Trust: every dataset is signed by its domain, and listed once. That nothing was left out is
    known of nobody.
    """

    def __init__(
        self,
        datasets: Sequence[DatasetPointer],
        inquiries: Sequence[Inquiry],
        *,
        missing: Sequence[Missing] = (),
    ) -> None:
        """``inquiries``: who was asked, for their claims and for what was not believed of them."""
        self._datasets = tuple(datasets)
        self._pointers: dict[str, list[Any]] = {}
        self.missing = tuple(missing)
        """Networks and domains that did not answer, or not with all, and why."""
        self.rejected = tuple(
            Rejected(i.name, problem, times)
            for i in inquiries
            for problem, times in sorted(i.rejected.items())
        )
        """What was not believed."""
        self.claims = {i.name: i.claimed for i in inquiries if i.claimed is not None}
        """How much there is, by the word of each that was asked."""
        self._unproven = {i.name: self.claims[i.name] for i in inquiries if i.has_unproven_claim}

    @property
    def partial(self) -> bool:
        """True when somebody who should have answered did not, or had more than it gave."""
        return bool(self.missing)

    @property
    def counts(self) -> Counts:
        """How much was found: of datasets that are listed here, when the result is whole.

        Where a network gave a part of what it claims to have, these are the largest numbers that
        are known: of what is listed, or by the word of such a network.
        """
        known = [counts_of(dataset.record for dataset in self._datasets), *self._unproven.values()]
        fields = Counts.__struct_fields__
        return Counts(**{field: max(getattr(each, field) for each in known) for field in fields})

    def datasets(self, latest_version_only: bool = False) -> DatasetList:
        """The datasets; with ``latest_version_only`` of each name in a domain only the latest."""
        return DatasetList(self._latest if latest_version_only else self._datasets)

    @property
    def tensors(self) -> TensorList:
        """The tensors of all datasets."""
        return tensors_of(self._datasets)

    @property
    def schemas(self) -> SchemaList:
        """The schemas of datasets and of tensors, with the datasets that use each."""
        return schemas_of(self._datasets)

    @property
    def distributed_datasets(self) -> tuple[DistributedDataset[DatasetPointer], ...]:
        """The datasets that share a schema, one group for each; of versions only the latest."""
        groups = group_by_schema(self._datasets)
        return tuple(DistributedDataset(latest_versions(group.datasets)) for group in groups)

    @override
    def __getitem__(self, domain: str) -> list[Any]:
        if domain not in self._pointers:
            datasets = self._by_domain[domain]
            self._pointers[domain] = [it for dataset in datasets for it in dataset.pointers]
        return self._pointers[domain]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._by_domain)

    @override
    def __len__(self) -> int:
        return len(self._by_domain)

    @override
    def __eq__(self, other: object) -> bool:
        """Whether both list the same datasets; pointers are not compared, that is an operation."""
        if not isinstance(other, SearchResults):
            return super().__eq__(other)
        return list(map(identity, self._datasets)) == list(map(identity, other._datasets))

    __hash__ = None  # type: ignore[assignment]  # as of every mapping

    @override
    def __repr__(self) -> str:
        return "\n".join((text_table(self._rows), *self._notes))

    def _repr_html_(self) -> str:
        return html_table(self._rows) + "".join(map(html_text, self._notes))

    @cached_property
    def _latest(self) -> tuple[DatasetPointer, ...]:
        return tuple(latest_versions(self._datasets))

    @cached_property
    def _by_domain(self) -> dict[str, list[DatasetPointer]]:
        names = labels(self._datasets)
        datasets: dict[str, list[DatasetPointer]] = {}
        for dataset in self._latest:
            datasets.setdefault(names[dataset.domain.peer_id], []).append(dataset)
        return datasets

    @property
    def _rows(self) -> list[list[str]]:
        counts = msgspec.structs.asdict(self.counts)
        return [list(counts), [str(count) for count in counts.values()]]

    @property
    def _notes(self) -> list[str]:
        """What has to be said about the counts, in sentences; the longest lists are cut."""
        notes = [f"partial: {name} {problem}" for name, problem in self.missing]
        if self._unproven:
            names = ", ".join(self._unproven)
            notes.append(f"counts are claims of {names}; datasets listed: {len(self._datasets):,}")
        notes += [
            f"not believed of {n}: {problem}; times: {t:,}" for n, problem, t in self.rejected
        ]
        more = len(notes) - SHOWN_NOTES
        shown = notes[:SHOWN_NOTES] + ([f"and {more} more of this kind"] if more > 0 else [])
        return [printable(note)[:NOTE_LENGTH] for note in shown]

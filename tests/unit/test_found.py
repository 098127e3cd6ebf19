"""Lists of what was found: by number and name, and as the table of the notebook."""

from datetime import UTC, datetime

import pytest

from p2pgrid.client.found import (
    DatasetList,
    labels,
    latest_versions,
    schemas_of,
    tensors_of,
)
from p2pgrid.protocol.counts import Counts, counts_of
from tests.unit.hits import (
    ABOUT,
    COVID_MORT_2,
    DEATHS,
    FLAGS,
    Place,
    arrays,
    covid_datasets,
    hit,
    peer_of,
    record,
)

COLUMNS = (
    "domain,id,upload-date,version,frameworks,train_rows,dev_rows,test_rows,schema,tags,"
    "description,private,metadata"
)


def test_c23_datasets_print_as_the_table_of_the_notebook() -> None:
    found = DatasetList(covid_datasets())
    table = found.table
    assert table.index.name == "name"
    assert list(table.index) == ["COVID Mortality", "US COVID Deaths", "COVID Deaths"]
    assert ",".join(table.columns) == COLUMNS
    assert list(table["domain"]) == ["UCSF", "CDC", "AMA"]
    assert list(table["upload-date"]) == ["2019-12-18", "2020-01-18", "2020-02-20"]
    assert list(table["version"]) == [1, 23, 2]
    assert table[["train_rows", "dev_rows", "test_rows"]].to_numpy().tolist() == [
        [2626, 353, 366],
        [34632, 355, 0],
        [2352, 335, 0],
    ]
    assert set(table["schema"]) == {"COVID-MORT-2"}
    assert set(table["frameworks"]) == {"PT/TF/PD/NP/JX"}
    assert set(table["private"]) == {True}
    assert list(table["metadata"]) == [f"{{'collected': {year}}}" for year in (2019, 2020, 2020)]
    assert list(table["id"]) == [dataset.id for dataset in found]
    for text in (repr(found), found._repr_html_()):
        assert "COVID Mortality" in text
        assert "train_rows" in text
        assert "#covid #official" in text


def test_c24_long_cells_are_cut_in_display_and_whole_on_access() -> None:
    found = DatasetList(covid_datasets())
    assert ABOUT.strip() not in repr(found)
    assert ABOUT.strip() not in found._repr_html_()
    assert "This is the official statistics" in repr(found)
    assert found.table.iloc[0].description == ABOUT
    assert found[0].description == ABOUT
    assert found[1].description == "Nationally\nmade"


def test_c23_a_dataset_has_the_attributes_of_its_record() -> None:
    dataset = covid_datasets()[0]
    assert dataset.uploaded == datetime(2019, 12, 18, tzinfo=UTC)
    assert dataset.version == 1
    assert dataset.schema == COVID_MORT_2
    assert dataset.metadata == {"collected": 2019}
    assert dataset.frameworks == ("PT", "TF", "PD", "NP", "JX")
    assert dataset.rows == {"train": 2626, "dev": 353, "test": 366}
    assert dataset.worst_case_user_budget is None
    assert dataset.private


@pytest.mark.parametrize("uploaded", [0, 2**53])
def test_c23_a_date_that_nobody_gave_or_that_is_none_is_empty(uploaded: int) -> None:
    dataset = hit(record(uploaded=uploaded, tensors=(*arrays("scalar", 0),)))
    assert dataset.uploaded is None
    assert DatasetList([dataset]).table["upload-date"].tolist() == [""]
    assert dataset.rows == {"train": 0, "dev": 0, "test": 0}


def test_c23_datasets_are_found_by_number_and_name() -> None:
    datasets = covid_datasets()
    found = DatasetList(datasets)
    assert found[0] is datasets[0]
    assert found[-1] is datasets[2]
    assert found["COVID Deaths"] is datasets[2]
    assert list(found[1:]) == datasets[1:]
    assert isinstance(found[1:], DatasetList)
    assert len(found) == 3


def test_c23_what_is_not_in_a_list_says_how_much_is_there() -> None:
    found = DatasetList(covid_datasets())
    with pytest.raises(IndexError, match="99 of 3"):
        found[99]
    with pytest.raises(IndexError, match="-4 of 3"):
        found[-4]
    with pytest.raises(KeyError, match="the nearest are 'COVID Deaths'"):
        found["COVID Death"]
    with pytest.raises(KeyError, match="none at all"):
        DatasetList([])["x"]


def test_c23_a_name_means_the_latest_version_and_never_one_of_two_domains() -> None:
    versions = [hit(record(version=version)) for version in (2, 3, 1)]
    other = hit(record(domain="CDC", version=9))
    assert DatasetList(versions)["deaths"] is versions[1]
    with pytest.raises(KeyError, match=r"2 have the name 'deaths'.*number: 1, 3"):
        DatasetList([*versions, other])["deaths"]
    assert latest_versions([*versions, other]) == [versions[1], other]


def test_c23_no_name_of_a_stranger_reaches_the_terminal_as_a_command() -> None:
    found = DatasetList([hit(record("\x1b[2J", tags=("\x1b",), metadata={"\x1b": "\x1b"}))])
    assert "\x1b" not in repr(found) + found._repr_html_()
    assert "<script>" not in DatasetList([hit(record("<script>"))])._repr_html_()
    with pytest.raises(KeyError) as missing:
        found["x"]
    assert "\x1b" not in str(missing.value)


def test_domains_of_one_name_are_told_apart_and_nobody_can_take_the_others_label() -> None:
    mallory = Place("UCSF", peer_of("mallory"))
    taken = f"UCSF@{peer_of('UCSF')[-8:]}"
    datasets = [hit(record()), hit(record()), hit(record(domain=taken))]
    datasets[1].domain = mallory  # type: ignore[assignment]
    names = labels(datasets)
    assert len(set(names.values())) == 3
    assert names[peer_of("UCSF")] == taken


def test_c38_schemas_are_listed_once_with_the_datasets_that_use_them() -> None:
    datasets = [*covid_datasets(), hit(record(schema=FLAGS)), hit(record())]
    found = schemas_of(datasets)
    assert [(each.name, len(each.datasets)) for each in found] == [
        ("COVID-MORT-2", 3),
        ("FLAGS", 1),
        ("deaths", 4),
        ("region", 3),
    ]
    table = found.table
    assert list(table["kind"]) == ["dataset", "dataset", "tensor", "tensor"]
    assert table.loc["FLAGS", "id"] == FLAGS.id
    assert found["deaths"].schema == DEATHS


def test_c22_tensors_are_listed_once_whatever_arrays_they_are_stored_as() -> None:
    found = tensors_of(covid_datasets())
    assert len(found) == 6
    first = found[0]
    assert (first.name, first.schema, first.rows["dev"]) == ("deaths", DEATHS, 353)
    assert first.id == first.dataset.record.tensors[0].object_id.hex()
    assert list(found.table["dataset"])[:2] == ["COVID Mortality"] * 2
    with pytest.raises(KeyError, match="3 have the name 'region'"):
        found["region"]


def test_a_tensor_of_which_the_schema_says_nothing_has_none() -> None:
    (tensor,) = tensors_of([hit(record(schema=FLAGS, tensors=arrays("unknown", 3)))])
    assert tensor.schema is None
    assert tensors_of([tensor.dataset]).table["schema"].tolist() == [""]


def test_c38_distributed_datasets_are_counted_by_schema() -> None:
    flags = record("flags", schema=FLAGS)
    records = [*(dataset.record for dataset in covid_datasets()), flags, record("no schema")]
    assert counts_of(records) == Counts(
        distributed_datasets=2, datasets=5, tensors=8, dataset_schemas=2, tensor_schemas=2
    )
    assert counts_of(()) == Counts()

"""What a search asks for: every form of it, in every spelling."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from p2pgrid.errors import InvalidQueryError
from p2pgrid.protocol.queries import (
    EVERYTHING,
    FORMS,
    MAX_FORM,
    MAX_WORD,
    MAX_WORDS,
    Query,
    matches,
    query_of,
    words_of,
)
from p2pgrid.protocol.records import DatasetRecord, bare_tag
from p2pgrid.protocol.text import folded
from tests.unit.searching import record, records, texts

# --- the forms --------------------------------------------------------------------------------


def test_c18_anywhere_takes_a_word_or_a_list_and_they_are_one_query() -> None:
    assert query_of(anywhere="diabetes") == query_of(anywhere=["diabetes"])
    for found in ("diabetes", "US", "covid", "mortality", "records", "19 deaths covid-19"):
        assert matches(query_of(anywhere=found), record())
    assert not matches(query_of(anywhere="diabetic"), record())
    assert not matches(query_of(anywhere=["diabetes", "malaria"]), record())


def test_c19_tags_are_substrings_and_exact_tags_are_whole_tags() -> None:
    for found in ("diabetes", "#diabetes", "abet", "-2", ["cov", "records"]):
        assert matches(query_of(tags=found), record())
    assert not matches(query_of(exact_tags="diabetes"), record())
    assert not matches(query_of(exact_tags=["covid", "diabetes"]), record())
    assert matches(query_of(exact_tags=["#covid", "Diabetes-2"]), record())
    assert not matches(query_of(tags="covid birth"), record()), "a substring is of one tag"


def test_c20_words_of_a_description_come_in_any_order() -> None:
    query = query_of(description="diabetes COVID mortality")
    assert query == query_of(description=["mortality", "diabetes", "covid"])
    assert matches(query, record())
    assert not matches(query, record(description="COVID mortality"))
    assert not matches(query_of(description="us"), record()), "that is in the name only"


def test_c21_a_name_by_its_parts_or_as_a_whole() -> None:
    for name, is_whole in (("MNIST", True), ("MNIST-M", False)):
        assert matches(query_of(name="MNIST"), record(name=name))
        assert matches(query_of(exact_name="mnist"), record(name=name)) == is_whole
    assert not matches(query_of(exact_name=["mnist", "mnist-m"]), record(name="mnist"))


def test_c26_words_without_a_form_are_whole_tags_with_and_without_hash() -> None:
    assert query_of("#February", "#birth-records") == query_of("birth-records", "february")
    assert query_of("#a", exact_tags="b") == query_of(exact_tags=["a", "b"])
    assert matches(query_of("#covid", "#birth records"), record())
    assert not matches(query_of("#covid", "#february"), record())


def test_c25_a_form_that_does_not_exist_is_refused_by_naming_those_that_do() -> None:
    with pytest.raises(InvalidQueryError) as refused:
        query_of(tag="diabetes")
    for form in ("'tag'", *FORMS):
        assert form in str(refused.value)


def test_all_forms_of_a_query_are_needed() -> None:
    assert matches(query_of("covid", name="US", description="age"), record())
    assert not matches(query_of("covid", name="US", description="ages"), record())


def test_a_query_of_nothing_is_false_and_every_dataset_is_it() -> None:
    assert not EVERYTHING
    assert query_of() == EVERYTHING
    assert matches(EVERYTHING, record())
    assert query_of("a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("COVID-19, mortality.", {"covid", "19", "mortality"}),
        ("birth_records", {"birth", "records"}),
        ("Straße ﬁne", {"strasse", "fine"}),
        ("糖尿病 data", {"糖", "尿", "病", "data"}),
        ("--- #", set()),
    ],
)
def test_a_word_is_a_run_of_letters_and_digits(text: str, words: set[str]) -> None:
    assert words_of(folded(text)) == words


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forms", "problem"),
    [
        ({"anywhere": "..."}, "nothing to look for"),
        ({"tags": "#"}, "nothing to look for"),
        ({"name": [""]}, "nothing to look for"),
        ({"name": 3}, "expected a text"),
        ({"name": [b"MNIST"]}, "got bytes"),
        ({"exact_name": "\ud800"}, "surrogate"),
        ({"anywhere": [f"w{n}" for n in range(MAX_WORDS + 1)]}, "33 words; at most 32"),
        ({"name": "x" * (MAX_WORD + 1)}, "129 characters"),
        ({"description": "x " * MAX_FORM}, "8,192 characters; at most 4,096"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(forms: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidQueryError, match=problem):
        query_of(**forms)


def test_as_much_as_is_allowed_can_be_asked_for() -> None:
    words = [f"w{n}" for n in range(MAX_WORDS)]
    assert len(query_of(anywhere=" ".join(words)).anywhere) == MAX_WORDS
    assert query_of(name="x" * MAX_WORD)


def test_a_query_from_the_wire_is_brought_into_its_one_form() -> None:
    rude = msgspec.msgpack.encode({"anywhere": ["B-a", "b"], "tags": ["##X"]})
    assert msgspec.msgpack.decode(rude, type=Query) == Query(anywhere=("a", "b"), tags=("x",))
    for excess in ({"anywhere": [""]}, {"name": ["x" * 129]}, {"size": ["1"]}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.msgpack.decode(msgspec.msgpack.encode(excess), type=Query)


# --- laws -------------------------------------------------------------------------------------


@given(texts)
def test_spelling_is_done_once_and_for_all(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert all(words_of(folded(word)) == {word} for word in words_of(folded(text)))
    assert not set("\0\n") & set(folded(text))


@given(records)
def test_a_dataset_is_found_by_all_that_is_in_it(found: DatasetRecord) -> None:
    words = words_of(folded(f"{found.name} {found.description} {' '.join(found.tags)}"))
    tags = list(filter(bare_tag, found.tags))
    forms = {
        "anywhere": sorted(words),
        "description": sorted(words_of(folded(found.description))),
        "exact_tags": tags,
        "tags": tags,
    }
    for form, given_words in forms.items():
        assert matches(query_of(**{form: given_words[:MAX_WORDS]}), found)
    if folded(found.name):
        assert matches(query_of(exact_name=found.name, name=found.name), found)


@given(records, texts, texts, st.sampled_from(sorted(FORMS)))
def test_asking_for_more_finds_less(found: DatasetRecord, one: str, two: str, form: str) -> None:
    try:
        both, either = query_of(**{form: [one, two]}), query_of(**{form: one})
    except InvalidQueryError:
        return
    assert matches(either, found) or not matches(both, found)


@given(records, texts)
def test_an_exact_match_is_a_match(found: DatasetRecord, text: str) -> None:
    for exact, loose in (("exact_tags", "tags"), ("exact_name", "name")):
        try:
            exactly, loosely = query_of(**{exact: text}), query_of(**{loose: text})
        except InvalidQueryError:
            continue
        assert matches(loosely, found) or not matches(exactly, found)


@given(st.lists(texts, max_size=3), st.sampled_from(sorted(FORMS)))
def test_a_query_survives_the_wire(given_words: list[str], form: str) -> None:
    try:
        query = query_of(**{form: given_words})
    except InvalidQueryError:
        return
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(query), type=Query) == query

"""What a search asks for, and whether a dataset is it: one meaning for registries and clients.

Texts are compared folded (``text.folded``): Unicode forms, case and runs of white space do not
matter. All that a query asks for is needed; their order does not matter.

=============  ==================================================================================
form           what it asks for
=============  ==================================================================================
anywhere       words, each somewhere in the name, the description or a tag
description    words of the description
tags           substrings, each of some tag
name           substrings of the name
exact_tags     whole tags; words without a form are meant so
exact_name     the whole name
=============  ==================================================================================

A word is a run of letters and digits: ``covid-19`` is two, and is found by either. A character of
Chinese or Japanese is a word, because those scripts do not divide words. ``#`` in front of a tag
does not count.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple, TypedDict

import msgspec
from msgspec.structs import force_setattr

from p2pgrid.errors import InvalidQueryError
from p2pgrid.protocol.records import DatasetRecord, bare_tag
from p2pgrid.protocol.text import folded

MAX_WORDS = 32
"""Of one form of a query."""
MAX_WORD = 128
"""Characters."""
MAX_FORM = 4096
"""Characters of what is given for a form, before it is split."""

_CHARACTER_WORDS = "\u3040-\u30ff\u3400-\u9fff"
_WORDS = re.compile(rf"[{_CHARACTER_WORDS}]|[^\W_{_CHARACTER_WORDS}]+")

_Words = Annotated[
    tuple[Annotated[str, msgspec.Meta(max_length=MAX_WORD)], ...],
    msgspec.Meta(max_length=MAX_WORDS),
]


def words_of(text: str) -> frozenset[str]:
    """The words of a folded text."""
    return frozenset(_WORDS.findall(text))


FORMS: Mapping[str, Callable[[str], Iterable[str]]] = {
    "anywhere": lambda text: words_of(folded(text)),
    "description": lambda text: words_of(folded(text)),
    "tags": lambda text: (bare_tag(text),),
    "name": lambda text: (folded(text),),
    "exact_tags": lambda text: (bare_tag(text),),
    "exact_name": lambda text: (folded(text),),
}
"""How the texts that are given for each form are spelled and split."""


class Forms(TypedDict, total=False):
    """What ``query_of`` takes by name, as a type."""

    anywhere: str | Sequence[str]
    tags: str | Sequence[str]
    exact_tags: str | Sequence[str]
    description: str | Sequence[str]
    name: str | Sequence[str]
    exact_name: str | Sequence[str]


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is searched for, in its one form: equal searches are equal queries.

    Raises:
        InvalidQueryError: too many words, too long ones, or one of which nothing is left.
    """

    anywhere: _Words = ()
    tags: _Words = ()
    exact_tags: _Words = ()
    description: _Words = ()
    name: _Words = ()
    exact_name: _Words = ()

    def __post_init__(self) -> None:
        """Brings every form into its one order and spelling."""
        for form, spell in FORMS.items():
            given = getattr(self, form)
            _require_little(form, given)
            wanted = {word for text in given for word in _spelled(form, text, spell)}
            _require_few(form, wanted)
            force_setattr(self, form, tuple(sorted(wanted)))

    def __bool__(self) -> bool:
        """False when it asks for nothing in particular, so that every dataset is it."""
        return any(getattr(self, form) for form in FORMS)


class SearchText(NamedTuple):
    """The parts of a record that are searched, folded."""

    name: str
    description_words: frozenset[str]
    other_words: frozenset[str]
    """Of the name and of the tags."""
    tags: tuple[str, ...]


def query_of(*words: str, **forms: str | Sequence[str]) -> Query:
    """The query that a person means.

    Args:
        words: whole tags, with or without ``#``.
        forms: ``anywhere``, ``description``, ``tags``, ``name``, ``exact_tags``, ``exact_name``;
            each a text or several.

    Raises:
        InvalidQueryError: there is no such form, or it is given what is no text, no word, or too
            many of them; the error names the forms that there are.
    """
    for form in forms:
        if form not in FORMS:
            raise InvalidQueryError(
                form=repr(form[:40]), problem=f"there is no such form; use {', '.join(FORMS)}"
            )
    given = {form: _texts(form, value) for form, value in forms.items()}
    given["exact_tags"] = (*_texts("exact_tags", words), *given.get("exact_tags", ()))
    return Query(**given)


def require_something(query: Query) -> None:
    """Checks that a search asks for something: all that there is, nobody needs at once.

    Raises:
        InvalidQueryError: it does not.
    """
    if not query:
        problem = f"it asks for nothing in particular; give at least one of {', '.join(FORMS)}"
        raise InvalidQueryError(form="no word", problem=problem)


def matches(query: Query, record: DatasetRecord) -> bool:
    """Whether a dataset is what a query asks for."""
    text = search_text(record)
    return (
        text.description_words.issuperset(query.description)
        and (text.description_words | text.other_words).issuperset(query.anywhere)
        and all(any(part in tag for tag in text.tags) for part in query.tags)
        and set(text.tags).issuperset(query.exact_tags)
        and all(part in text.name for part in query.name)
        and all(name == text.name for name in query.exact_name)
    )


def search_text(record: DatasetRecord) -> SearchText:
    """What a registry has to index of a record."""
    name, tags = folded(record.name), tuple(map(bare_tag, record.tags))
    return SearchText(
        name=name,
        description_words=words_of(folded(record.description)),
        other_words=words_of(" ".join((name, *tags))),
        tags=tags,
    )


def _spelled(form: str, text: str, spell: Callable[[str], Iterable[str]]) -> list[str]:
    wanted = [word for word in spell(text) if word]
    if not wanted:
        problem = f"{text[:40]!r} holds nothing to look for; give letters or digits"
        raise InvalidQueryError(form=form, problem=problem)
    return wanted


def _texts(form: str, value: str | Sequence[str]) -> tuple[str, ...]:
    texts = tuple(value) if isinstance(value, list | tuple) else (value,)
    for text in texts:
        if not isinstance(text, str):
            problem = f"expected a text or a list of texts, got {type(text).__name__}"
            raise InvalidQueryError(form=form, problem=problem)
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidQueryError(form=form, problem="holds half a character (a surrogate)")
    return texts


def _require_little(form: str, texts: Sequence[str]) -> None:
    size = sum(map(len, texts))
    if size > MAX_FORM:
        problem = f"has {size:,} characters; at most {MAX_FORM:,} are allowed"
        raise InvalidQueryError(form=form, problem=problem)


def _require_few(form: str, words: set[str]) -> None:
    if len(words) > MAX_WORDS:
        problem = f"has {len(words):,} words; at most {MAX_WORDS} are allowed"
        raise InvalidQueryError(form=form, problem=problem)
    longest = max(words, key=len, default="")
    if len(longest) > MAX_WORD:
        problem = (
            f"a word of {len(longest):,} characters ({longest[:20]!r}...); "
            f"at most {MAX_WORD} are allowed"
        )
        raise InvalidQueryError(form=form, problem=problem)


EVERYTHING = Query()
"""Asks for nothing in particular."""

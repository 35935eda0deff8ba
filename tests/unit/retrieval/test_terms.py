"""Terms: an identifier is found however it is written, and a word whatever its ending."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.terms import MAX_CHARACTERS, searched_text, terms_of, words_of


def searched(text: str) -> set[str]:
    return set(searched_text("a", (), (), text).split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parseHTTPHeader", ["parse", "http", "header"]),
        ("parse_http_header(__x__)", ["parse", "http", "header", "x"]),
        ("HTTP2Connection v1.2", ["http2", "connection", "v1", "2"]),
        ("100% Straße, 中文 שלום\u200bעולם", ["100", "straße", "中文", "שלום", "עולם"]),
        ("👩‍👩‍👧 _ ()", []),
    ],
)
def test_words_end_at_case_and_underscore(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize("written", ["parseHTTPHeader", "parse_http_header", "ParseHttpHeader", "PARSE_HTTP_HEADER"])
def test_an_identifier_is_found_by_its_words_and_by_itself_in_any_case(written: str) -> None:
    assert set(terms_of("parse the http headers")) <= searched(written)
    assert set(terms_of("parseHttpHeader")) <= searched(written)
    assert set(terms_of("parsehttpheader")) <= searched(written)


@pytest.mark.parametrize("form", ["parse", "parses", "parsed", "parsing", "Parse"])
def test_a_word_is_found_whatever_its_ending(form: str) -> None:
    assert terms_of(form) == terms_of("parse")
    assert terms_of("stopped queries") == terms_of("stopping query")


def test_a_query_is_its_different_telling_terms() -> None:
    assert terms_of("100% of _Worker_ and worker?") == ["100", "worker"]


def test_stop_words_are_looked_for_when_there_is_nothing_else() -> None:
    assert terms_of("to be or not to be") == ["to", "be", "or", "not"]
    assert set(terms_of("is it")) <= searched("if it is so")


def test_a_query_has_a_bounded_number_of_terms() -> None:
    assert len(terms_of(" ".join(f"word{n}" for n in range(1000)))) == 64


@given(st.text(max_size=200))
def test_whatever_is_asked_finds_the_text_that_says_it(text: str) -> None:
    assert set(terms_of(text)) <= searched(text)


def test_the_terms_of_a_long_line_are_bounded_and_whole() -> None:
    terms = searched_text("a", (), (), "word " * 100_000)
    assert MAX_CHARACTERS - 10 < len(terms) <= MAX_CHARACTERS
    assert set(terms.split()) == {"a", "word"}

"""Token counts."""

from __future__ import annotations

import pytest

from activities.tokens import count


@pytest.mark.parametrize(
    ("text", "encoding", "tokens"),
    [
        ("", "cl100k_base", 0),
        ("Hello world", "cl100k_base", 2),
        ("<|endoftext|>", "cl100k_base", 7),
        ("你好世界", "o200k_base", 2),
    ],
)
def test_text_is_counted_as_the_encoding_does(text: str, encoding: str, tokens: int) -> None:
    assert count(text, encoding) == tokens


def test_a_text_of_a_million_characters_is_counted() -> None:
    assert count("word " * 300_000) == pytest.approx(300_000, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("1 " * 131_072, 262_144), ("1," * 249_999, 499_998), ("\U0001fae0" * 65_536, 196_608)],
)
@pytest.mark.parametrize("encoding", ["cl100k_base", "o200k_base"])
def test_a_text_of_more_tokens_than_the_tokenizer_takes_is_counted(text: str, tokens: int, encoding: str) -> None:
    assert count(text, encoding) == pytest.approx(tokens, rel=1e-4)


def test_an_unknown_encoding_is_an_error() -> None:
    with pytest.raises(KeyError, match="p99"):
        count("text", "p99_base")

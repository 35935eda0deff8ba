"""The conversation as text, within a token limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic_core import to_json

from perdure.contract import Counting, History
from perdure.message import Message, text_of

SEPARATOR = "\n\n"
_FRAME_BYTES = 1024
"""What a history's JSON has at most around its text and its messages."""
CountTokens = Callable[[str], int]


def line_of(message: Message) -> str:
    """`{Role}: {content}`, one message's part of the history."""
    return f"{message.role.capitalize()}: {text_of(message.content)}"


def estimate(text: str) -> int:
    """Tokens by the bytes rule, `(UTF-8 bytes + 3) // 4`."""
    return (len(text.encode()) + 3) // 4


def render(
    messages: Sequence[Message],
    *,
    max_tokens: int | None = None,
    complete: bool = True,
    counting: Counting = "tokenizer",
    cut_by: CountTokens = estimate,
) -> History:
    """The newest messages that fit `max_tokens`, in chronological order.

    Walks from the newest to the oldest and stops at the first that does not fit. Should not even the newest fit, it is
    cut from its end, for 0 tokens to nothing, and `truncated` is set.

    Args:
        messages: in ascending order.
        max_tokens: no limit when none.
        complete: whether `messages` are all there are.
        counting: by "estimate", every line is counted by `estimate` and separators are free; else the stored
            `token_count` is used, and a separator costs what it may add to it, which is mostly one token.
        cut_by: counts tokens to cut the newest, where `counting` is not "estimate".
    """
    if max_tokens is None:
        return History(text=SEPARATOR.join(map(line_of, messages)), messages=list(messages), complete=complete)
    by_rule = counting == "estimate"
    kept: list[Message] = []
    used = 0
    for message in reversed(messages):
        line = line_of(message)
        cost = estimate(line) if by_rule else message.token_count + (_separated(line) if kept else 0)
        if used + cost > max_tokens:
            break
        used += cost
        kept.append(message)
    kept.reverse()
    if not kept and messages:
        text = _cut(line_of(messages[-1]), max_tokens, estimate if by_rule else cut_by) if max_tokens > 0 else ""
        return History(text=text, messages=[messages[-1]], complete=False, truncated=True)
    return History(
        text=SEPARATOR.join(map(line_of, kept)),
        messages=kept,
        complete=complete and len(kept) == len(messages),
    )


def _separated(line: str) -> int:
    """No fewer tokens than `SEPARATOR` adds after `line`.

    After a letter or a digit it is a token by itself. Other characters at the end are made into tokens anew together
    with it: at worst into bytes, instead of into one token. Of one character, or two of ASCII, tried one and all, none
    makes it more than one.
    """
    end = len(line)
    while end and not line[end - 1].isalnum():
        end -= 1
    tail = line[end:]
    few = 2 if tail.isascii() else 1
    return 1 if len(tail) <= few else len(tail.encode()) + 1


def within(history: History, max_bytes: int) -> History:
    """The history, or as many of its newest messages as fit into `max_bytes` of JSON, which holds each twice: as text
    and as itself. Should not even the newest fit, its text is cut, and `truncated` is set."""
    if len(to_json(history)) <= max_bytes:
        return history
    left = max_bytes - _FRAME_BYTES
    kept: list[Message] = []
    for message in reversed(history.messages):
        left -= len(to_json(message)) + len(to_json(line_of(message)))
        if left < 0:
            break
        kept.insert(0, message)
    if kept:
        return History(text=SEPARATOR.join(map(line_of, kept)), messages=kept, complete=False)
    newest = history.messages[-1]
    room = max_bytes - _FRAME_BYTES - len(to_json(newest))
    text = _cut(line_of(newest), room, lambda text: len(to_json(text)))
    return History(text=text, messages=[newest], complete=False, truncated=True)


def _cut(text: str, max_tokens: int, count: CountTokens) -> str:
    """The longest prefix that a binary search finds to fit; at least one character."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[:middle]) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    return text[:low]

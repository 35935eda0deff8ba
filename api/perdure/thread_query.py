"""A query that knows what the talk is about: the message, and the newest messages before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from perdure.message import Message, text_of
from perdure.working_set import CompilerConfig

THREAD_MESSAGES = 4
"""How many messages of user and assistant, the thread's newest, are folded in: two turns, as a rule."""
THREAD_CHARACTERS = 240
"""How much of each is folded in, from its beginning: with a question they fit what the embedder reads."""
LOOKED_AT = 50
"""Messages that the walk back passes at most, tool and system messages included."""


def searched(
    config: CompilerConfig, text: str, head: str | None, newest: Callable[[], Sequence[Message]]
) -> str | None:
    """What to look for in place of `text`, sent on top of `head`; none when it is the text itself.

    `newest` gives the newest messages, ascending, where they are needed; a thread is followed as far as they reach.
    """
    return thread_query(text, thread_to(head, newest())) if config.query_from == "thread" else None


def thread_query(text: str, thread: Sequence[Message]) -> str:
    """`text`, then what the newest messages of `thread` (ascending) say, the newest first, one a line.

    The message comes first and the oldest last, so that an embedder that cuts its input drops the oldest.
    """
    said = [m for m in thread[-LOOKED_AT:] if m.role in ("user", "assistant")][-THREAD_MESSAGES:]
    lines = (" ".join(text_of(message.content).split())[:THREAD_CHARACTERS] for message in reversed(said))
    return "\n".join([text, *(line for line in lines if line)])


def thread_to(head: str | None, messages: Sequence[Message]) -> list[Message]:
    """The messages from `head` back to the root, ascending, as far as they are among `messages`."""
    known: Mapping[str, Message] = {message.message_id: message for message in messages}
    walked: list[Message] = []
    while head is not None and len(walked) < LOOKED_AT and (message := known.get(head)) is not None:
        walked.append(message)
        head = message.parent_message_id
    return walked[::-1]

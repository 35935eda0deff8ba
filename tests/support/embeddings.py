"""An HTTP server that speaks `/v1/embeddings`, and misbehaves as it is told."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMENSION = 16


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer other than the right one. `hold`: not before the server is closed."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: bool = False


@dataclass
class EmbeddingsServer:
    """Answers with `replies` first, then rightly. `requests` are the bodies it got, `keys` their `Authorization`.

    What comes after the first `answers` requests is held, if there is such a number.
    """

    url: str
    replies: list[Reply] = field(default_factory=list)
    answers: int | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)


def embedding(text: str) -> list[float]:
    """Made from the text's words: texts that share words are near each other. Not of length 1."""
    values = [0.1] * DIMENSION
    for word in text.lower().split():
        values[hashlib.sha256(word.encode()).digest()[0] % DIMENSION] += 3.0
    return values


def body_of(embeddings: Sequence[object]) -> str:
    """What the protocol wraps embeddings in."""
    data = [{"object": "embedding", "index": n, "embedding": e} for n, e in enumerate(embeddings)]
    return json.dumps({"object": "list", "data": data[::-1], "model": "m", "usage": {}})


@contextmanager
def embeddings_server() -> Iterator[EmbeddingsServer]:
    """A server on any free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append(request)
            server.keys.append(self.headers["Authorization"])
            right = Reply(body=body_of([embedding(text) for text in request["input"]]))
            reply = server.replies.pop(0) if server.replies else right
            late = server.answers is not None and len(server.requests) > server.answers
            if reply.hold or late:
                server.closed.wait()
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body.encode())))
            self.end_headers()
            self.wfile.write(reply.body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base has it
            """Nothing on stderr."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = EmbeddingsServer(f"http://127.0.0.1:{http.server_port}/v1/embeddings")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closed.set()
        http.shutdown()
        thread.join()
        http.server_close()

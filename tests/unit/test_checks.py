"""What `perdure doctor` reports where none of the servers is what it should be."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perdure.cli import run

NOBODY = "127.0.0.1:1"
HTML = b"HTTP/1.0 200 OK\r\n\r\n<html></html>"
OTHER_JSON = b"HTTP/1.0 200 OK\r\n\r\n[]"
NO_HTTP = b"SSH-2.0-OpenSSH_9.9\r\n"


@contextmanager
def server_that_says(answer: bytes) -> Iterator[str]:
    """Where one listens that gives this answer to every request."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "cause"), [(HTML, "JSONDecodeError"), (OTHER_JSON, "AttributeError"), (NO_HTTP, "RemoteProtocolError")]
)
def test_a_server_that_is_none_of_ours_is_a_finding_beside_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, answer: bytes, cause: str
) -> None:
    monkeypatch.setenv("PERDURE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TEMPORAL_ADDRESS", NOBODY)
    monkeypatch.setenv("PERDURE_DATABASE_URL", f"postgresql+psycopg://postgres@{NOBODY}/perdure")
    monkeypatch.setenv("PERDURE_EMBEDDER_URL", f"http://{NOBODY}")
    monkeypatch.setenv("PERDURE_EMBEDDER_MODEL", "m")
    monkeypatch.setenv("PERDURE_EMBEDDER_DIMENSION", "16")
    monkeypatch.setenv("PERDURE_EMBEDDER_TIMEOUT", "PT1S")
    with server_that_says(answer) as address:
        monkeypatch.setenv("PERDURE_WEAVIATE_URL", f"http://{address}")
        assert run(["doctor", "--output", "json"]) == 4
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert set(findings) == {"temporal", "search attributes", "postgres", "weaviate", "embedder", "worker"}
    assert all(finding["next_step"] for finding in findings.values())
    assert cause in findings["weaviate"]["detail"]
    assert "PERDURE_WEAVIATE_URL" in findings["weaviate"]["next_step"]

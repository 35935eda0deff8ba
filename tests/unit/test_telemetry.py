"""Logs as lines of JSON, and when traces and metrics are on."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from opentelemetry.metrics import NoOpMeter

from perdure.errors import InvalidRequest
from workers.telemetry import JsonFormatter, enabled, meter, start

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ENDPOINT, "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "traces", "metrics"),
    [
        ({}, False, False),
        (ENDPOINT, True, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True, False),
        ({"OTEL_METRICS_EXPORTER": "console"}, False, True),
        ({"OTEL_TRACES_EXPORTER": "none", **ENDPOINT}, False, True),
        ({"OTEL_METRICS_EXPORTER": "none", **ENDPOINT}, True, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318/v1/metrics"}, False, True),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}, False, False),
    ],
)
def test_traces_and_metrics_are_off_unless_the_environment_asks(
    variables: dict[str, str], traces: bool, metrics: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (enabled("TRACES"), enabled("METRICS")) == (traces, metrics)


def test_instruments_do_nothing_while_metrics_are_off() -> None:
    assert isinstance(meter(), NoOpMeter)


def test_an_exporter_that_is_not_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "carrier-pigeon")
    with pytest.raises(InvalidRequest, match="OTEL_METRICS_EXPORTER is 'carrier-pigeon'"):
        start("perdure-test")


def test_a_log_line_is_one_json_object_with_extra_fields_and_the_exception() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.getLogger("a.b").makeRecord(
            "a.b", logging.WARNING, "", 1, "said %s", ("é",), sys.exc_info(), extra={"session_id": "s1"}
        )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    value = json.loads(line)
    assert value["message"] == "said é"
    assert (value["level"], value["logger"], value["session_id"]) == ("WARNING", "a.b", "s1")
    assert "ValueError: two" in value["exception"]


COMMAND = """
import time
from opentelemetry import trace
from workers import telemetry

with telemetry.of_a_command("perdure-test"):
    with trace.get_tracer("test").start_as_current_span("a command"):
        ended = time.monotonic()
print(time.monotonic() - ended)
"""


@contextmanager
def collector(status: int) -> Iterator[str]:
    """A server that answers everything with that status; its address."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def after_a_command(endpoint: str) -> tuple[float, str]:
    """How long it waited for its collector, in seconds, and what it said."""
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return float(done.stdout), done.stderr


def test_a_command_waits_a_second_for_a_collector_that_is_away_and_says_so_in_one_line() -> None:
    waited, said = after_a_command("http://127.0.0.1:1")
    assert waited < 3  # the exporter itself goes on for 6 s or more
    assert "Check OTEL_EXPORTER_OTLP_ENDPOINT" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("status", "lines"), [(200, 0), (404, 1)])
def test_a_command_tells_of_a_collector_only_that_it_took_nothing(status: int, lines: int) -> None:
    with collector(status) as endpoint:
        assert after_a_command(endpoint)[1].count("\n") == lines

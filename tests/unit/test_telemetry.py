"""Logs as lines of JSON, and when traces and metrics are on."""

from __future__ import annotations

import json
import logging
import sys

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

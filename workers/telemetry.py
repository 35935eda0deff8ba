"""Traces and metrics through OpenTelemetry when `OTEL_*` asks for them, and structured logs on stderr always."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Literal

from perdure.errors import InvalidRequest

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from temporalio.client import Plugin
    from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider

COMMAND_WAITS = timedelta(seconds=1)
"""For a collector, once a command is done."""

_provider: ReplaySafeTracerProvider | None = None
_meters: MeterProvider | None = None
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def enabled(signal: Literal["TRACES", "METRICS"]) -> bool:
    """True if an OTLP endpoint or an exporter is set, unless `OTEL_SDK_DISABLED=true` or the exporter is `none`."""
    exporter = os.environ.get(f"OTEL_{signal}_EXPORTER", "")
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return False
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return bool(exporter) or any(os.environ.get(name) for name in endpoints)


def start(service_name: str) -> None:
    """Begin tracing (Temporal calls, Postgres statements, Weaviate queries) and metrics, each if `enabled()`.

    `service_name` is used unless `OTEL_SERVICE_NAME` is set. Call it once, before any client is connected.

    Raises:
        InvalidRequest: `OTEL_TRACES_EXPORTER` or `OTEL_METRICS_EXPORTER` is neither `otlp` nor `console`.
    """
    if enabled("TRACES"):
        _start_traces(_resource(service_name))
    if enabled("METRICS"):
        _start_metrics(_resource(service_name))


def _start_traces(resource: Resource) -> None:
    global _provider
    from opentelemetry import trace
    from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
    from temporalio.contrib.opentelemetry import create_tracer_provider

    from workers.session_spans import SessionSpans

    exporter: SpanExporter
    if _exporter("TRACES") == "console":
        exporter = ConsoleSpanExporter(out=sys.stderr)
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter()
    # Flushed by `stop`: processes that used the SDK leave by `os._exit`, where an exit handler would never run.
    _provider = create_tracer_provider(resource=resource, shutdown_on_exit=False)
    _provider.add_span_processor(SessionSpans())
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(_provider)
    PsycopgInstrumentor().instrument()
    GrpcAioInstrumentorClient().instrument()  # Weaviate's queries; Temporal's calls have spans of its own


def _start_metrics(resource: Resource) -> None:
    global _meters
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, PeriodicExportingMetricReader

    exporter: MetricExporter
    if _exporter("METRICS") == "console":
        exporter = ConsoleMetricExporter(out=sys.stderr)
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        exporter = OTLPMetricExporter()
    _meters = MeterProvider([PeriodicExportingMetricReader(exporter)], resource=resource, shutdown_on_exit=False)


def _exporter(signal: str) -> str:
    name = f"OTEL_{signal}_EXPORTER"
    exporter = os.environ.get(name) or "otlp"
    if exporter not in ("otlp", "console"):
        raise InvalidRequest(f"{name} is {exporter!r}; use otlp, console or none.")
    return exporter


def _resource(service_name: str) -> Resource:
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    return Resource.create({} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: service_name})


def stop() -> None:
    """Send what is still held. Without effect when nothing began."""
    if _provider is not None:
        _provider.shutdown()
    if _meters is not None:
        _meters.shutdown()


@contextmanager
def of_a_command(service_name: str) -> Iterator[None]:
    """Between `start` and `stop`, for a process that ends soon and has a person before it.

    What no collector took within `COMMAND_WAITS` is lost. One sentence says so, in place of the exporters' own lines.
    """
    errors = _Errors()
    if enabled("TRACES") or enabled("METRICS"):
        exporters = logging.getLogger("opentelemetry")
        exporters.addHandler(errors)
        exporters.propagate = False  # for as long as the process lives, and with it the thread below
    start(service_name)
    try:
        yield
    finally:
        sending = Thread(target=stop, daemon=True)
        sending.start()
        sending.join(COMMAND_WAITS.total_seconds())
        if sending.is_alive() or errors.heard:
            print(
                "Warning: no collector took all traces and metrics of this command within "
                f"{COMMAND_WAITS.total_seconds():g} s. Check OTEL_EXPORTER_OTLP_ENDPOINT, or leave it out.",
                file=sys.stderr,
                flush=True,
            )


class _Errors(logging.Handler):
    """Tells whether there was one."""

    heard = False

    def emit(self, record: logging.LogRecord) -> None:
        self.heard |= record.levelno >= logging.ERROR


def meter() -> Meter:
    """What makes instruments; they do nothing while metrics are off."""
    from opentelemetry.metrics import NoOpMeter

    return NoOpMeter("perdure") if _meters is None else _meters.get_meter("perdure")


def client_plugins() -> list[Plugin]:
    """What a Temporal client needs so that a turn is one trace; nothing while tracing is off."""
    if _provider is None:
        return []
    from temporalio.contrib.opentelemetry import OpenTelemetryPlugin

    return [OpenTelemetryPlugin(add_temporal_spans=True)]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, `extra` fields, and the ids of the current trace."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if _provider is not None:
            from opentelemetry import trace

            context = trace.get_current_span().get_span_context()
            if context.is_valid:
                line |= {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to_stderr(level: str, form: Literal["json", "text"]) -> None:
    """Send all logs of this process to stderr, replacing what was configured before."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel("WARNING")  # else a line for each request, with an address that may hold a key

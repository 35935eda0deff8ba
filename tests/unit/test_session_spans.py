"""Every span of a turn names its session."""

from __future__ import annotations

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.contrib.opentelemetry import create_tracer_provider

from workers.session_spans import CONVERSATION_ID, SESSION_ID, WORKFLOW_ID, SessionSpans


def spans_of(workflow_id: str) -> list[dict[str, object]]:
    """The attributes of a Temporal span, of a span in it, and of one in that."""
    exporter = InMemorySpanExporter()
    provider = create_tracer_provider()
    provider.add_span_processor(SessionSpans())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with (
        tracer.start_as_current_span("RunActivity", attributes={WORKFLOW_ID: workflow_id}),
        tracer.start_as_current_span("compile"),
        tracer.start_as_current_span("INSERT"),
    ):
        pass
    return [dict(span.attributes or {}) for span in exporter.get_finished_spans()]


def test_a_session_is_named_on_its_workflow_s_spans_and_on_all_below() -> None:
    found = spans_of("session:default:support:42")
    assert [(span[SESSION_ID], span[CONVERSATION_ID]) for span in found] == [("support:42", "support:42")] * 3


def test_other_workflows_name_none() -> None:
    assert not any(SESSION_ID in span for span in spans_of("ingest:default:docs"))

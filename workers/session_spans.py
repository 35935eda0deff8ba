"""Names the session on every span of its turns."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor
from opentelemetry.trace import get_current_span

WORKFLOW_ID = "temporalWorkflowID"
"""What Temporal's interceptor puts on each span that it makes."""
CONVERSATION_ID = "gen_ai.conversation.id"
SESSION_ID = "session.id"


class SessionSpans(SpanProcessor):
    """Puts `gen_ai.conversation.id` and `session.id` on each span of a session, and on all spans below it."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Take the id from the workflow's, else from the parent span."""
        session_id = _session_of(span)
        if session_id is None:
            session_id = _session_of(get_current_span(parent_context))
        if session_id is not None:
            span.set_attribute(CONVERSATION_ID, session_id)
            span.set_attribute(SESSION_ID, session_id)


def _session_of(span: object) -> str | None:
    attributes = getattr(span, "attributes", None) or {}  # Temporal's provider wraps the spans of the SDK
    if known := attributes.get(SESSION_ID):
        return str(known)
    kind, _, rest = str(attributes.get(WORKFLOW_ID, "")).partition(":")
    return rest.partition(":")[2] if kind == "session" and ":" in rest else None

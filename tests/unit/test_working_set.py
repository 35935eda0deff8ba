"""The compiler's settings."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from perdure.session import SessionConfig
from perdure.working_set import CompilerConfig


def test_the_preset_avocado_has_the_predecessors_values() -> None:
    config = CompilerConfig.model_validate({"preset": "avocado"})
    assert (config.token_budget, config.enable_mmr, config.mmr_lambda) == (8000, True, 0.5)
    assert (config.semantic_weight, config.lexical_weight) == (0.7, 0.3)
    assert (config.semantic_k, config.lexical_k) == (50, 20)
    assert CompilerConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("preset", ["guava", None, 1, {}])
def test_an_unknown_preset_is_refused(preset: object) -> None:
    with pytest.raises(ValidationError, match="Use one of: avocado"):
        CompilerConfig.model_validate({"preset": preset})


def test_what_is_left_out_has_the_values_that_the_contract_names() -> None:
    session = SessionConfig()
    assert (session.idle_timeout, session.archive_after) == (timedelta(minutes=30), timedelta(days=7))
    assert (session.max_content_bytes, session.run_budget.events) == (256 * 1024, 240)
    compiler = session.retrieval
    assert (compiler.token_budget, compiler.mmr_lambda, compiler.max_spans) == (8000, 0.9, 100)
    assert (compiler.order, compiler.tokenizer, compiler.query_from) == ("document", "cl100k_base", "message")
    assert compiler.retrieval_timeout == timedelta(seconds=2)

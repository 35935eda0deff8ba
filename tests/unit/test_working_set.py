"""The compiler's settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

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

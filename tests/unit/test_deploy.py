"""What the files in `deploy/` say of each other."""

from __future__ import annotations

import re
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_each_variable_of_the_compose_file_is_told_of_beside_it() -> None:
    read = set(re.findall(r"(?<!\$)\$\{(\w+)", (DEPLOY / "compose.yaml").read_text("utf-8")))
    assert "PERDURE_DB_PASSWORD" in read
    assert read <= set(re.findall(r"`(\w+)`", (DEPLOY / "README.md").read_text("utf-8")))

"""The page of the settings."""

from __future__ import annotations

from workers.settings_page import FILE, page


def test_the_page_is_what_the_settings_are() -> None:
    assert FILE.read_text("utf-8") == page(), "run `python -m workers.settings_page`"

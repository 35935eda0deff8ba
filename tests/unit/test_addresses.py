"""The addresses that a running stack leaves for other commands."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.test_settings import ADDRESSES
from workers.stack.addresses import FILE_NAME, Addresses


def test_what_was_written_is_read_until_it_is_forgotten(tmp_path: Path) -> None:
    assert Addresses.read(tmp_path) is None
    for _ in range(2):
        ADDRESSES.write(tmp_path)
        assert Addresses.read(tmp_path) == ADDRESSES
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    Addresses.forget(tmp_path)
    assert Addresses.read(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b'{"temporal": "127', b"{}", b"null", b"\xff"])
def test_half_of_a_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert Addresses.read(tmp_path) is None


def test_new_addresses_take_the_place_of_the_old_ones_whole(tmp_path: Path) -> None:
    ADDRESSES.write(tmp_path)
    file = tmp_path / FILE_NAME
    before = file.read_bytes()
    with file.open("rb") as opened:
        replace(ADDRESSES, namespace="later").write(tmp_path)
        assert opened.read() == before
    assert file.read_bytes() != before

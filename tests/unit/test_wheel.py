"""What is published."""

from __future__ import annotations

import os
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        folder = tmp_path_factory.mktemp("wheel")
        [path] = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    finally:
        os.chdir(before)
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert top == {"perdure", next(name for name in top if name.endswith(".dist-info"))}
    modules = {path.relative_to(ROOT / "api").as_posix() for path in (ROOT / "api/perdure").rglob("*.py")}
    assert modules <= set(wheel.namelist())
    assert "perdure/py.typed" in wheel.namelist()


def test_the_base_needs_temporal_and_pydantic_only(wheel: zipfile.ZipFile) -> None:
    [metadata] = [name for name in wheel.namelist() if name.endswith("METADATA")]
    required = message_from_bytes(wheel.read(metadata)).get_all("Requires-Dist") or []
    assert {r.split("<")[0].split(">")[0].split("[")[0] for r in required if "extra ==" not in r} == {
        *("temporalio", "pydantic")
    }

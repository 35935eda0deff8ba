"""A part of the stack: one server process that is started, watched, hurt on purpose, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from workers.stack.spawn import spawn

TAIL_LINES = 20
INHERITED = ("PATH", "HOME", "TMPDIR", "TZ", "GOMAXPROCS", "GOMEMLIMIT")
STOP_TIMEOUT = timedelta(seconds=15)
POLL_SECONDS = 0.05
PROBE_TIMEOUT = timedelta(seconds=10)


class PartFailed(Exception):
    """A part did not start, or ended by itself. The message names it and ends with the tail of its log."""

    def __init__(self, name: str, problem: str, log: Path) -> None:
        lines = log.read_text("utf-8", "replace").splitlines()[-TAIL_LINES:] if log.exists() else []
        tail = "\n".join(f"  {line}" for line in lines) or "  (nothing)"
        super().__init__(f"{name} {problem}. The end of {log}:\n{tail}")
        self.name = name


class Part(ABC):
    """One server process, in a process group of its own, that dies with this process.

    Start and use parts from the main thread: the kernel ties a child to the thread that started it.
    """

    name: str
    death_signal = signal.SIGKILL
    """Sent by the kernel when this process dies."""
    user = ""
    """Whom the process runs as; empty for the present user."""

    def __init__(self, log: Path, start_timeout: timedelta) -> None:
        self.log = log
        self.start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._expected_end = False

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The program, by its whole path, and its arguments."""

    @abstractmethod
    async def probe(self) -> None:
        """Make a real call; any exception means not usable yet."""

    def environment(self) -> Mapping[str, str]:
        """The process's environment. Of ours only what any program needs: the servers read variables such as
        `OTEL_TRACES_EXPORTER` too, and Temporal refuses to start over one that is meant for us.
        """
        return {name: os.environ[name] for name in INHERITED if name in os.environ}

    async def prepare(self) -> None:  # noqa: B027 - most parts need nothing
        """Make what the process needs; runs before each start, which may be killed at any moment of it."""

    @property
    def running(self) -> bool:
        """Whether the process lives, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def crashed(self) -> bool:
        """Whether the process ended though nobody here ended it."""
        return self._process is not None and not self.running and not self._expected_end

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process and wait until it is usable.

        Raises:
            PartFailed: it ended, or it is not usable within `start_timeout`; it is then killed.
        """
        await self.prepare()
        self._run(self.command(), self.death_signal)
        await self._until_usable()

    def _run(self, command: Sequence[str | Path], death_signal: signal.Signals, cwd: Path | None = None) -> None:
        self._expected_end = False
        self._process = spawn(
            command, log=self.log, environment=self.environment(), user=self.user, death_signal=death_signal, cwd=cwd
        )

    async def _until_usable(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.start_timeout.total_seconds()
        while True:
            if not self.running:
                raise self.failure()
            try:
                async with asyncio.timeout(PROBE_TIMEOUT.total_seconds()):
                    return await self.probe()
            except Exception as error:
                if loop.time() > deadline:
                    await self.kill()
                    problem = f"was not usable after {self.start_timeout.total_seconds():g} s ({error!r})"
                    raise PartFailed(self.name, problem, self.log) from error
            await asyncio.sleep(POLL_SECONDS)

    def failure(self) -> PartFailed:
        """What to raise now that the process has ended by itself."""
        code = self._process.poll() if self._process else None
        how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        return PartFailed(self.name, f"ended {how}", self.log)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process group; without effect when the process has ended."""
        if self.running:
            os.killpg(self.pid, number)

    async def _end(self, number: signal.Signals) -> None:
        self._expected_end = True
        self.send(number)
        self.send(signal.SIGCONT)
        while self.running:  # noqa: ASYNC110 - there is no event for a process that ends
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Ask the process to end, and kill it if it does not within 15 s."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT.total_seconds()):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End the process with SIGKILL and wait until it is gone. The stack does not count this as a crash."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Kill the process if it lives, and start it again on the same ports and data."""
        await self.kill()
        await self.start()

    def freeze(self) -> None:
        """Stop the process where it stands (SIGSTOP): it holds its connections and answers nothing."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self.send(signal.SIGCONT)

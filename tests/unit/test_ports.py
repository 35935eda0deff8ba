"""The ports of stacks that start at once."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from perdure.errors import Unavailable
from workers.stack.ports import ANY, CLUSTER, CLUSTER_PORTS, USUAL, choose, remember

STACKS = 6
CHOOSER = """
import json, sys
from contextlib import ExitStack
from pathlib import Path
from workers.stack.ports import USUAL, choose

memory, taken = map(Path, sys.argv[1:])
with ExitStack() as claims:
    sys.stdin.readline()
    print(json.dumps(choose(dict.fromkeys(USUAL), memory, taken, claims)), flush=True)
    sys.stdin.readline()
"""


def _all(chosen: dict[str, int]) -> list[int]:
    return [*(chosen[name] for name in USUAL), *range(chosen[CLUSTER], chosen[CLUSTER] + CLUSTER_PORTS)]


async def test_stacks_that_choose_at_once_share_no_port_though_none_listens_yet(tmp_path: Path) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CHOOSER, str(tmp_path / f"{number}.json"), str(tmp_path / "taken")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        for number in range(STACKS)
    ]
    chosen: list[int] = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    for process in processes:
        assert process.stdout is not None
        chosen += _all(json.loads(await process.stdout.readline()))
    await asyncio.gather(*(process.communicate(b"stop\n") for process in processes))
    assert len(set(chosen)) == STACKS * (len(USUAL) + CLUSTER_PORTS)
    assert list((tmp_path / "taken").iterdir()) == []


def test_a_restart_keeps_its_ports_and_one_that_was_asked_for_is_refused_while_taken(tmp_path: Path) -> None:
    memory, taken = tmp_path / "ports.json", tmp_path / "taken"
    with ExitStack() as claims:
        first = choose(dict.fromkeys(USUAL, 0), memory, taken, claims)
        assert not memory.exists()
        remember(first, memory)
        assert set(_all(first)) <= set(range(ANY.start, ANY.stop + CLUSTER_PORTS))
        with pytest.raises(Unavailable, match="PERDURE_POSTGRES_PORT"):
            choose({"postgres": first["postgres"]}, tmp_path / "other.json", taken, claims)
    assert not (tmp_path / "other.json").exists()
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["ports.json"]
    with ExitStack() as claims:
        assert choose(dict.fromkeys(USUAL, 0), memory, taken, claims) == first


@pytest.mark.parametrize("content", ["", '{"temporal": 72', "[7233]", '{"temporal": "x"}', "\0"])
def test_what_a_killed_stack_left_of_its_ports_is_as_good_as_nothing(tmp_path: Path, content: str) -> None:
    memory, taken = tmp_path / "ports.json", tmp_path / "taken"
    memory.write_text(content)
    with ExitStack() as claims:
        chosen = choose(dict.fromkeys(USUAL, 0), memory, taken, claims)
    remember(chosen, memory)
    assert json.loads(memory.read_text()) == chosen

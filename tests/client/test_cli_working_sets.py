"""`perdure session compile`, `verify`, `what-if` and `diff`, against real servers."""

from __future__ import annotations

import io

import pytest

from tests.client.conftest import PATIENT, Ingest, Service
from tests.client.test_cli import Cli, cli
from tests.retrieval.conftest import DOCUMENTS

__all__ = ["cli"]
QUESTION = "what fruit is in the basket?"


@pytest.fixture(autouse=True)
async def _talk(service: Service, ingest: Ingest) -> None:
    await ingest(DOCUMENTS)
    session = await service.client().start_session("s", corpus="docs", config=PATIENT)
    await session.add_user_message(QUESTION, message_id="m0")
    await session.add_user_message(QUESTION, message_id="m1", retrieval={"max_spans": 2, "order": "relevance"})


async def test_a_dry_run_prints_the_working_set_and_adds_nothing(cli: Cli) -> None:
    data = await cli.data("compile", "s", QUESTION, "--set", "max_spans=2", "--set", "order=relevance")
    (_, second) = (await cli.data("replay", "s"))["turns"]
    assert data["context_hash"] == second["working_set"]["context_hash"]
    code, out, _ = await cli("compile", "s", QUESTION, "--budget", "60", "--explain")
    assert code == 0
    assert "There are 100 apples" in out
    assert "[1]" in out
    assert "semantic_search" in out
    assert (await cli.data("show", "s"))["message_count"] == 2


async def test_an_older_version_is_asked_for_by_its_number(cli: Cli, ingest: Ingest) -> None:
    await ingest({"fruit.txt": "Only plums are left.\n"})
    assert "apples" in (await cli.data("compile", "s", QUESTION, "--as-of", "1"))["text"]
    assert "apples" not in (await cli.data("compile", "s", QUESTION, "--as-of", "newest"))["text"]
    code, out, err = await cli("compile", "s", QUESTION, "--as-of", "9")
    assert (code, out) == (3, "")
    assert "It keeps 1 to 2" in err


async def test_verification_is_exit_code_0_only_if_every_hash_is_the_same(cli: Cli, ingest: Ingest) -> None:
    await ingest({"fruit.txt": "Only plums are left.\n"})
    code, out, _ = await cli("verify", "s")
    assert code == 0
    assert "2 same" in out
    assert [t["message_id"] for t in (await cli.data("verify", "s", "--message", "m1"))["turns"]] == ["m1"]


@pytest.mark.parametrize(
    "arguments", [("verify", "s", "--message", "m9"), ("diff", "s", "m0", "m9"), ("diff", "s", "m9", "m0")]
)
async def test_a_message_that_is_not_there_is_exit_code_3_with_what_to_do(cli: Cli, arguments: tuple[str, ...]) -> None:
    code, out, err = await cli(*arguments)
    assert (code, out) == (3, "")
    assert err == (
        "Error: Session s has no user message 'm9'. `perdure session replay s --output json` shows those it has.\n"
    )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("max_span=3", "retrieval.max_span: unknown; did you mean max_spans? There are as_of, enable_mmr"),
        ("mmr_lambda=x", 'retrieval.mmr_lambda: takes a number from 0 to 1, not "x"'),
        ("token_budget=-1", "retrieval.token_budget: takes a whole number from 0 to 100000, not -1"),
    ],
)
async def test_a_bad_setting_is_exit_code_2_with_one_sentence(cli: Cli, setting: str, said: str) -> None:
    for command in (("compile", "s", QUESTION), ("what-if", "s")):
        code, out, err = await cli(*command, "--set", setting)
        assert (code, out) == (2, "")
        assert err.startswith(f"Error: {said}")
        assert err.count("\n") == 1


async def test_what_if_is_a_table_or_json(cli: Cli) -> None:
    code, out, _ = await cli("what-if", "s", "--budget", "40")
    assert code == 0
    assert "1 same, 1 differs" in out or "2 differs" in out
    assert "- is over the budget of 40 tokens:" in out
    found = await cli.data("what-if", "s", "--set", "max_spans=1", "--turns", "1")
    assert [(t["message_id"], t["spans_after"]) for t in found["turns"]] == [("m0", 1)]
    assert not found["complete"]
    code, out, _ = await cli("what-if", "s", "--corpus", "nothing")
    assert code == 1  # nothing was compared
    assert "Corpus not found: nothing" in out


@pytest.mark.parametrize(
    "arguments",
    [("--set", "max_spans"), ("--as-of", "yesterday"), ("--turns", "0"), ("--budget", "-1")],
)
async def test_a_wrong_option_is_exit_code_2(cli: Cli, arguments: tuple[str, str]) -> None:
    assert (await cli("what-if", "s", *arguments))[0] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--budget", "50", "--set", "token_budget=50"), "--set token_budget says it too"),
        (("--as-of", "newest", "--set", "as_of=1"), "--set as_of says it too"),
        (("--set", "max_spans=1", "--set", "max_spans=2"), "max_spans is set twice"),
    ],
)
async def test_a_setting_that_is_given_twice_is_exit_code_2(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    for command in (("compile", "s", QUESTION), ("what-if", "s")):
        code, out, err = await cli(*command, *arguments)
        assert (code, out) == (2, "")
        assert said in " ".join(err.split())


async def test_a_query_may_come_from_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(QUESTION + "\n"))
    assert (await cli.data("compile", "s", "-"))["query"] == QUESTION


async def test_the_explanation_lists_the_best_of_every_stage_first(cli: Cli) -> None:
    data = await cli.data("compile", "s", QUESTION, "--explain")
    stages = data["explain"]["stages"]
    assert [span["path"] for span in stages["packed"]] != [span["path"] for span in stages["final"]]
    out = (await cli("compile", "s", QUESTION, "--explain"))[1]
    (best,) = (line.split()[-1] for line in out.splitlines() if line.startswith("final "))
    path, lines = stages["packed"][0]["path"], stages["packed"][0]["lines"]
    assert best == f"{path}:{lines[0]}-{lines[1]}"


async def test_a_diff_tells_what_went(cli: Cli) -> None:
    data = await cli.data("diff", "s", "m0", "m1")
    assert data["summary"] == f"{len(data['removed'])} removed"
    code, out, _ = await cli("diff", "s", "m0", "m1")
    assert code == 0
    assert data["summary"] in out
    assert f"- {data['removed'][0]['path']}" in out
    assert "No changes" in (await cli("diff", "s", "m0", "m0"))[1]


async def test_a_session_without_a_corpus_is_told_what_to_do(cli: Cli, service: Service) -> None:
    await service.client().start_session("plain")
    code, out, err = await cli("compile", "plain", QUESTION)
    assert (code, out) == (3, "")
    assert "update_session" in err
    assert ".. " not in err

"""What the benchmark of retrieval asks, and how it counts."""

from __future__ import annotations

from math import log

import pytest

from activities.corpora.outline import outline_of
from benchmarks.baseline import Bm25
from benchmarks.questions import Place, Question, question_set
from benchmarks.ranking import Ranking
from benchmarks.report import arguments


def test_no_answer_holds_its_question_and_each_is_where_its_function_is() -> None:
    found = question_set(["benchmarks", "tests.support"])
    assert len(found.questions) > 20
    for question in found.questions:
        for place in question.answers:
            lines = found.files[place.path].split("\n")[place.first - 1 : place.last]
            assert question.text not in "\n".join(lines)
            assert any(line.name for line in outline_of("a.py", lines[:6]))


def test_a_rank_is_that_of_the_first_span_with_a_line_of_any_answer() -> None:
    question = Question("which?", (Place("a", 5, 9), Place("b", 1, 1)))
    ranking = Ranking("x")
    ranking.add("fused", question, [Place("a", 1, 4), Place("a", 9, 12), Place("b", 1, 1)])
    ranking.add("fused", question, [Place("a", 10, 12)])
    ranking.add("fused", question, [Place("c", 5, 9)] * 10 + [Place("b", 1, 2)])
    assert ranking.ranks["fused"] == [2, None, 11]
    assert ranking.mrr("fused") == pytest.approx((1 / 2 + 1 / 11) / 3)
    assert ranking.recall("fused") == pytest.approx(1 / 3)


def test_bm25_has_lucenes_values() -> None:
    scores = Bm25([["a", "a", "b"], ["b"], ["c", "c"]]).scores(["a", "b", "unknown"])
    rare, common = log(1 + 2.5 / 1.5), log(1 + 1.5 / 2.5)  # in one document of three, in two
    first = rare * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2)) + common * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 3 / 2))
    second = common * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 1 / 2))
    assert scores == pytest.approx([first, second, 0])


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PERDURE_WEAVIATE_PORT", "abc")
    with pytest.raises(SystemExit):
        arguments("turn", None)
    assert 'error: PERDURE_WEAVIATE_PORT: takes a whole number from 0 to 65535, not "abc"' in capsys.readouterr().err

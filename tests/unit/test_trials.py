"""The trials of the fault harness are run by hand; that they still fit the sources is seen each time."""

from __future__ import annotations

import pytest

from tests.faults.try_harness import ROOT, TRIALS, Patch


@pytest.mark.parametrize("patch", [patch for trial in TRIALS.values() for patch in trial.patches], ids=lambda p: p.file)
def test_what_a_trial_takes_out_stands_in_the_sources_once(patch: Patch) -> None:
    assert patch.found(ROOT) == 1

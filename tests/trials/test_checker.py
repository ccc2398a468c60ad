"""The checker on a small true trial: clean evidence is clean, and none at all is not green."""

import copy

import orjson
from rich.console import Console

from api.problems import PROBLEMS
from scripts.trials.checker import INVARIANTS, check, show_verdict
from scripts.trials.evidence import Evidence
from scripts.trials.invariants import declared
from scripts.trials.invariants.declared import DECLARED_503


class TestCleanEvidence:
    def test_is_clean_and_looked_at(self, scene):
        verdict = check(scene.load())
        assert {finding.name: finding.violations for finding in verdict.findings if not finding.ok} == {}
        assert verdict.ok
        assert set(verdict.document()["invariants"]) == set(INVARIANTS)

    def test_has_everything_that_invariants_are_about(self, scene):
        evidence = scene.load()
        rows = list(evidence.tables.decisions())
        kinds = {"event_set", "book", "cancel", "join_waitlist", "leave_waitlist", "offer", "accept_offer"}
        assert kinds | {"decline_offer", "expire_offer", "call_off", "call_off_slice"} <= {
            r.kind for r in rows
        }
        assert {"sold_out", "not_enough_left"} & {r.reason for r in rows}
        assert {"withdrawn", "waitlisted", "confirmed", "cancelled"} <= {r.outcome for r in rows}
        assert {offer.status for offer in evidence.tables.offers} >= {"accepted", "declined", "expired"}


class TestNoEvidence:
    def test_is_not_green(self):
        verdict = check(Evidence())
        assert not verdict.ok
        assert all(finding.blind for finding in verdict.findings)
        console = Console(record=True, width=200)
        show_verdict(console, verdict)
        assert console.export_text().count("looked at nothing") == len(INVARIANTS)
        assert orjson.loads(orjson.dumps(verdict.document()))["ok"] is False


class TestDeclaredAnswers:
    def test_are_the_503s_of_the_contract(self):
        assert {code for code, (status, _) in PROBLEMS.items() if status == 503} == DECLARED_503

    def test_have_the_statuses_of_the_contract(self):
        assert {status for status, _ in PROBLEMS.values() if status < 500} <= declared._REFUSALS


class TestAVerdict:
    def test_shows_the_first_violations_of_each_promise(self, lived):
        evidence = copy.deepcopy(lived.evidence)
        for call in evidence.calls:
            call.leak = "site-packages"
        verdict = check(evidence)
        document = verdict.document()
        assert not document["ok"]
        assert document["invariants"]["declared"]["count"] == len(evidence.calls)
        console = Console(record=True, width=200)
        show_verdict(console, verdict)
        said = console.export_text()
        assert said.count("declared: ") == 5
        assert "shows site-packages" in said

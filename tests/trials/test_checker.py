"""The checker on a small true trial: clean evidence is clean, and none at all is not green."""

import orjson
from rich.console import Console

from scripts.trials.checker import INVARIANTS, check, show_verdict
from scripts.trials.evidence import Evidence


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

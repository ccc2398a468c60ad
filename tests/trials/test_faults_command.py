"""`guichet faults`: a small trial of the real thing is green, and one of a worker that forgets is red."""

import json

from click.testing import CliRunner

from scripts.faults import command
from scripts.trials import processes
from scripts.trials.installation import USERS_FILE


def run(tmp_path, *options):
    report = tmp_path / "report.json"
    arguments = ["--people", "8", "--json", str(report), "--keep", str(tmp_path / "kept"), *options]
    result = CliRunner().invoke(command, arguments)
    return result, json.loads(report.read_text()) if report.exists() else None


class TestASmallTrial:
    def test_injects_faults_finds_every_promise_kept_and_keeps_nobodys_token(self, tmp_path):
        kinds = ("--only", "killed", "--only", "SIGKILL", "--only", "twice")
        result, report = run(tmp_path, "--seed", "7", "--minutes", "0.3", *kinds)
        assert result.exit_code == 0, result.output
        (trial,) = report["trials"]
        assert sum(trial["faults"].values()) >= 1
        seen = {name: finding["seen"] for name, finding in trial["verdict"]["invariants"].items()}
        assert seen["decided_once"]["accepted"] >= 1
        kept = {path.name for path in (tmp_path / "kept").rglob("*")}
        assert kept >= {"seed-7", "calls.jsonl", "faults.jsonl", "trial.json", "web.log", "worker-0.log"}
        assert USERS_FILE not in kept


class TestATrialOfAWorkerThatForgets:
    def test_is_red(self, tmp_path, monkeypatch):
        monkeypatch.setattr(processes, "WORKER", ("-m", "tests.trials.forgetful_worker"))
        result, report = run(tmp_path, "--minutes", "0.1", "--only", "nothing")
        assert result.exit_code == 1
        broken = {
            name for name, finding in report["trials"][0]["verdict"]["invariants"].items() if finding["count"]
        }
        assert "decided_once" in broken

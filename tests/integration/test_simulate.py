"""`guichet simulate`: a report before the sale, and a tiny one that is held for real."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from scripts import simulate
from scripts.benches.installation import Laboratory
from scripts.benches.processes import BenchError
from scripts.capacity.model import Demand
from scripts.simulation import costs
from scripts.simulation.costs import DOCUMENTED, Calibration

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path) -> Invoke:
    """The command, on a data folder of its own."""

    def run(*options: object) -> Result:
        environ = {"COLUMNS": "160", "GUICHET_DATA": str(tmp_path / "data")}
        return CliRunner().invoke(simulate.command, list(map(str, options)), env=environ)

    return run


@pytest.fixture
def report(invoke: Invoke, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The JSON report of a run."""

    def run(*options: object) -> dict[str, Any]:
        path = tmp_path / "report.json"
        result = invoke(*options, "--json", path)
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = orjson.loads(path.read_bytes())
        return document

    return run


class TestTheAnswer:
    def test_says_when_the_seats_are_gone_and_how_long_people_wait(self, invoke: Invoke) -> None:
        output = invoke("--seats", 100, "--people", 2_000, "--seconds", 10).output
        assert re.search(r"100 of 2,000 people get tickets; the last seat is gone after \d", output)
        for text in ("pressed → decided", "refused at the door", "busiest second", "in line", "▇"):
            assert text in output

    def test_says_that_some_seats_are_left(self, invoke: Invoke) -> None:
        assert "some seats are left" in invoke("--seats", 100, "--people", 10, "--seconds", 1).output

    def test_names_the_bottleneck(self, invoke: Invoke) -> None:
        crowd = ("--people", 5_000, "--seconds", 1, "--no-sold-out-door")
        assert "The bottleneck is: API." in invoke(*crowd, "--api", 1, "--cores", 8).output
        assert "The bottleneck is: cores." in invoke(*crowd, "--cores", 1).output
        assert "Nothing comes near its limit." in invoke("--people", 50, "--seconds", 60).output

    def test_warns_of_more_requests_than_connections(self, invoke: Invoke) -> None:
        output = invoke("--people", 20_000, "--seconds", 0.5, "--api", 1, "--profile", "burst").output
        assert "1 API processes take 4,000 connections" in output


class TestTheReport:
    def test_counts_everybody_once(self, report: Callable[..., dict[str, Any]]) -> None:
        document = report("--seats", 100, "--people", 2_000, "--seconds", 10, "--workers", 2)
        assert sum(document["ends"].values()) == document["people"] == 2_000
        assert document["ends"]["confirmed"] == 100
        assert document["gone_seconds"] < document["ended_seconds"]
        assert document["scenario"]["workers"] == 2

    def test_of_a_sell_out_has_more_requests_than_people(self, report: Callable[..., dict[str, Any]]) -> None:
        document = report("--profile", "sell-out", "--people", 2_000)
        assert document["scenario"]["seconds"] == 17
        assert document["requests"] > 2 * 2_000

    def test_is_the_same_again(self, report: Callable[..., dict[str, Any]]) -> None:
        first, second = (report("--people", 500, "--seconds", 5, "--seed", 3) for _ in range(2))
        assert first == second
        assert first["waits_ms"] != report("--people", 500, "--seconds", 5, "--seed", 4)["waits_ms"]

    def test_goes_to_standard_output_alone(self, invoke: Invoke) -> None:
        result = invoke("--people", 100, "--seconds", 1, "--json", "-")
        assert orjson.loads(result.stdout)["people"] == 100

    def test_is_a_page_that_fetches_nothing(self, invoke: Invoke, tmp_path: Path) -> None:
        path = tmp_path / "sale.html"
        assert invoke("--people", 500, "--seconds", 5, "--html", path).exit_code == 0
        page = path.read_text()
        assert page.count("<svg") == page.count("</svg>") == 3
        assert "500 people in 5 s" in page
        assert not re.search(r"https?://|<script|\bsrc=|\bhref=|@import|url\(", page)


class TestTheCosts:
    def test_are_documented_ones_until_they_are_measured(self, report: Callable[..., dict[str, Any]]) -> None:
        source = report("--people", 10, "--seconds", 1)["costs"]["source"]
        assert "documented figures of 2 cores" in source

    def test_are_those_that_were_measured_here(
        self, report: Callable[..., dict[str, Any]], tmp_path: Path
    ) -> None:
        slow = replace(DOCUMENTED.costs, accept=Demand(api_us=50_000.0))
        measured = Calibration(costs=slow, machine="an abacus", cores=3, measured_at=costs.now() - 2 * 86_400)
        costs.save(measured, tmp_path / "data")
        document = report("--people", 10, "--seconds", 10)
        assert document["costs"]["source"] == "measured 2 days ago on an abacus"
        assert document["scenario"]["cores"] == 3
        assert document["waits_ms"]["pressed_to_decided"]["p50"] > 30

    def test_that_are_damaged_are_said_to_be(self, invoke: Invoke, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / costs.FILE).write_text('{"version": 1}')
        result = invoke("--people", 10)
        assert result.exit_code == 1
        assert "measure again with --calibrate" in result.output


class TestWrongNumbers:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (("--seats", 0), "--seats"),
            (("--people", -1), "--people"),
            (("--people", "many"), "--people"),
            (("--seconds", 0), "--seconds"),
            (("--workers", 0), "--workers"),
            (("--profile", "flood"), "--profile"),
            (("--tickets", "11"), "a booking is of 1 to 10 tickets"),
            (("--tickets", "1;2"), "is not N, N-M or N:WEIGHT"),
            (("--hot", 2), "--hot"),
            (("--events", 10, "--seats", 5), "each event needs a seat"),
        ],
    )
    def test_are_refused_with_what_is_wrong(
        self, invoke: Invoke, options: tuple[object, ...], says: str
    ) -> None:
        result = invoke(*options)
        assert result.exit_code == 2
        assert says in result.output


class TestVerifying:
    def test_holds_the_sale_measures_and_audits_it(self, invoke: Invoke, tmp_path: Path) -> None:
        path = tmp_path / "verified.json"
        asked = (
            "--seats",
            30,
            "--people",
            120,
            "--seconds",
            2,
            "--events",
            2,
            "--tickets",
            "1-2",
            "--workers",
            2,
        )
        result = invoke("--verify", *asked, "--calibration-requests", 60, "--json", path)
        assert result.exit_code == 0, result.output
        document = orjson.loads(path.read_bytes())
        assert document["violations"] == []
        assert document["audited_rows"] > 30
        figures = {row["what"]: row for row in document["figures"]}
        assert figures["opening to the last end"]["measured"] > 1
        assert figures["decided"]["measured"] > 0
        for row in figures.values():
            if row["error"] is not None:
                assert row["error"] == pytest.approx(row["predicted"] / row["measured"] - 1, abs=1e-3)
        measured = costs.find(tmp_path / "data")
        assert measured is not None
        assert measured.costs.accept.api_us > 50

    def test_that_cannot_be_measured_says_why(self, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> Laboratory:
            raise BenchError("no answer")

        monkeypatch.setattr(simulate, "laboratory", fail)
        result = invoke("--calibrate")
        assert result.exit_code == 1
        assert "no answer" in result.output

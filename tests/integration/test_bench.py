"""`guichet bench` at tiny sizes: every measurement runs, and only a broken promise makes it fail."""

from pathlib import Path

import orjson
import pytest
from sqlalchemy import text

from scripts import bench
from scripts.benches.figures import FALLS_SHORT, PASS, Figure, Measurement, percentile
from scripts.benches.installation import Laboratory
from scripts.benches.lists_fill import fill
from scripts.benches.processes import BenchError
from scripts.benches.sizes import FULL, QUICK, scaled
from shared.db import make_engine, transaction
from tests.bench_runs import FLATNESS, SCALING, SPEED, EveryMeasurement, Reports, invoke, run_tiny


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return run_tiny(tmp_path_factory.mktemp("bench"), SPEED)


@pytest.mark.parametrize("name", SPEED)
class TestEveryMeasurement(EveryMeasurement):
    pass


class TestTheGroups:
    def test_leave_no_measurement_out(self) -> None:
        assert sorted((*SPEED, *FLATNESS, *SCALING)) == sorted(bench.BENCHES)


class TestTheExitCode:
    def test_is_0_on_a_slow_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slow = Measurement([Figure(what="decisions", value=3, unit="/s", bar=8_000)], audited_rows=5)
        monkeypatch.setitem(bench.BENCHES, "idle", lambda _laboratory: slow)
        result = invoke("--only", "idle")
        assert result.exit_code == 0, result.output
        assert FALLS_SHORT in result.output

    def test_is_1_when_the_audit_finds_something(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def oversell(laboratory: Laboratory) -> Measurement:
            measurement = Measurement()
            with laboratory.installation(measurement) as installation:
                event_id = installation.make_event(10)
                installation.fill(event_id, installation.make_users(12))
                installation.decide_rest()
                with transaction(installation.engine) as session:
                    session.execute(text("update events set booked = booked - 1"))
            return measurement

        monkeypatch.setitem(bench.BENCHES, "idle", oversell)
        result = invoke("--only", "idle", "--scale", 0.01)
        assert result.exit_code == 1
        assert "WRONG" in result.output

    def test_says_why_it_cannot_measure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_laboratory: Laboratory) -> Measurement:
            raise BenchError("no answer")

        monkeypatch.setitem(bench.BENCHES, "idle", fail)
        result = invoke("--only", "idle")
        assert result.exit_code == 1
        assert "no answer" in result.output

    def test_is_1_and_what_was_measured_before_is_kept(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def fail(_laboratory: Laboratory) -> Measurement:
            raise BenchError("no answer")

        found = Measurement([Figure(what="decisions", value=3, unit="/s")], audited_rows=5)
        monkeypatch.setitem(bench.BENCHES, "idle", lambda _laboratory: found)
        monkeypatch.setitem(bench.BENCHES, "reads", fail)
        result = invoke("--only", "idle", "--only", "reads", "--json", tmp_path / "report.json")
        assert result.exit_code == 1
        assert "no answer" in result.output
        assert list(orjson.loads((tmp_path / "report.json").read_bytes())["measurements"]) == ["idle"]

    def test_is_2_for_a_measurement_that_does_not_exist(self) -> None:
        assert invoke("--only", "nonsense").exit_code == 2


class TestAFigure:
    @pytest.mark.parametrize(
        ("value", "at_most", "verdict"),
        [(8, False, PASS), (7, False, FALLS_SHORT), (8, True, PASS), (9, True, FALLS_SHORT)],
    )
    def test_is_judged_by_its_bar(self, value: float, at_most: bool, verdict: str) -> None:
        figure = Figure(what="x", value=value, bar=8, at_most=at_most)
        assert figure.verdict == verdict
        assert figure.ratio == value / 8

    def test_without_a_bar_is_only_worth_knowing(self) -> None:
        assert Figure(what="x", value=1).document()["verdict"] is None

    def test_percentiles_are_values_that_were_measured(self) -> None:
        assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
        assert percentile(range(1, 101), 0.99) == 99
        assert percentile([5.0], 0.99) == 5.0


class TestSizes:
    def test_quick_is_never_more_work(self) -> None:
        assert QUICK.decisions < FULL.decisions
        assert QUICK.rounds < FULL.rounds

    def test_scaled_counts_stay_usable(self) -> None:
        tiny = scaled(FULL, 0.000_001)
        assert tiny.rounds == 1
        assert tiny.decisions >= 8


class TestTheFilledDatabase:
    def test_has_rows_that_could_be_real(self, database_url: str) -> None:
        """Filled without triggers: nothing else would find a booking of nobody's, or a wrong counter."""
        ids = fill(database_url, events=1_000)
        engine = make_engine(database_url, pool_size=1)
        with transaction(engine) as session:
            live = "select event_id, sum(tickets) t from bookings where status <> 'cancelled' group by 1"
            wrong = f"select count(*) from events e left join ({live}) b on b.event_id = e.id where e.booked <> b.t"
            orphans = (
                "select count(*) from bookings b left join events e on e.id = b.event_id"
                " left join users u on u.id = b.user_id where e.id is null or u.id is null"
            )
            assert session.scalar(text(wrong)) == session.scalar(text(orphans)) == 0
            mine = "select count(*) from bookings where user_id = :id"
            assert session.scalar(text(mine), {"id": ids.few_user_id}) == 5
            assert session.scalar(text(mine), {"id": ids.many_user_id}) == 1_000
        engine.dispose()

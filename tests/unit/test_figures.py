"""What processes count about themselves: in memory, and in files for each other."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from shared.metrics import families, files
from shared.metrics.families import HTTP_REQUESTS, LOG_INS, Counts, Timings
from shared.metrics.minutes import MINUTES
from shared.metrics.sharing import SharedFigures
from shared.metrics.statements import TABLES, statement_labels
from shared.models import Base
from shared.services.request_rates import rates_of

LONG_AGO = 1_000_000_000


class TestTimings:
    def test_count_by_bound(self):
        timings = Timings("t", "", ("a",), (0.1, 1.0))
        for seconds in (0.05, 0.1, 0.5, 3.0):
            timings.observe(("x",), seconds)
        assert timings.series == {("x",): [2, 1, 1, pytest.approx(3.65)]}

    def test_have_a_bounded_number_of_series(self, monkeypatch):
        """A label that grew without end would cost memory here and in Prometheus."""
        monkeypatch.setattr(families, "SERIES_MAX", 3)
        counts = Counts("c", "", ("a", "b"))
        for number in range(10):
            counts.add((str(number), "x"))
        assert counts.series == {("0", "x"): [1], ("1", "x"): [1], ("2", "x"): [1], ("other", "other"): [7]}

    def test_time_a_block_that_fails_too(self):
        timings = Timings("t", "", ("a",), (60.0,))
        with pytest.raises(ZeroDivisionError), timings.time(("x",)):
            _ = 1 / 0
        assert timings.series["x",][0] == 1


class TestStatements:
    @pytest.mark.parametrize(
        ("statement", "labels"),
        [
            ("SELECT events.id FROM events WHERE id IN (1, 2)", ("select", "events")),
            ("select 1", ("select", "other")),
            ("INSERT INTO login_failures (a) VALUES (1)", ("insert", "login_failures")),
            ("update only users set name = 'from bookings'", ("update", "users")),
            ('DELETE FROM "refresh_tokens" WHERE true', ("delete", "refresh_tokens")),
            ("select * from pg_stat_activity a join users u on true", ("select", "users")),
            ("with v as (select 1) select * from decisions", ("other", "decisions")),
            ("set local statement_timeout = 1", ("other", "other")),
            ("", ("other", "other")),
        ],
    )
    def test_are_told_apart_by_verb_and_table(self, statement, labels):
        assert statement_labels(statement) == labels

    def test_know_every_table(self):
        assert set(Base.metadata.tables) - TABLES == set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "figures"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """The families of a process that has just started."""
    before = {family.name: dict(family.series) for family in files.SHARED_FAMILIES}
    for family in files.SHARED_FAMILIES:
        family.series.clear()
    yield
    for family in files.SHARED_FAMILIES:
        family.series.clear()
        family.series.update(before[family.name])


def figures_of(folder: Path) -> SharedFigures:
    """A process that shares, without its thread."""
    figures = SharedFigures(folder)
    figures._path = folder / f"process-{id(figures)}.json"
    return figures


def another(folder: Path, failed: int, *, name: str = "another-1-aa", age_seconds: float = 0) -> Path:
    """A file that another process left."""
    path = folder / f"{name}.json"
    folder.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps({"figures": {"login_attempts_total": [[["failed"], [failed]]]}}))
    os.utime(path, (time.time() - age_seconds,) * 2)
    return path


def failed(figures: SharedFigures) -> float:
    return figures.read()["login_attempts_total"].get(("failed",), [0])[0]


class TestSharing:
    def test_adds_the_processes_up(self, folder):
        figures = figures_of(folder)
        LOG_INS.add(("failed",))
        another(folder, 5)
        assert failed(figures) == 6
        assert failed(figures) == 6  # looking counts nothing

    def test_keeps_to_itself_until_it_is_started(self, folder):
        LOG_INS.add(("failed",))
        assert failed(SharedFigures(folder)) == 1
        assert not folder.exists()

    def test_the_figures_of_a_process_that_ended_stay(self, folder):
        """Totals that go back look to Prometheus like a restart of everything."""
        figures = figures_of(folder)
        ended = another(folder, 5, age_seconds=files.ENDED_SECONDS + 1)
        assert failed(figures) == 5
        assert not ended.exists()
        assert failed(figures) == 5
        another(folder, 2, name="another-2-bb", age_seconds=files.ENDED_SECONDS + 1)
        figures._folded_at = float("-inf")
        assert failed(figures) == 7
        assert {path.name for path in folder.glob("*.json")} <= {"ended.json", figures._path.name}

    def test_dying_while_adding_an_ended_process_counts_it_once(self, folder, monkeypatch):
        ended = another(folder, 5, age_seconds=files.ENDED_SECONDS + 1)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", die)
            with pytest.raises(KeyboardInterrupt):
                files.fold(folder, [ended])
        assert ended.exists()
        figures = figures_of(folder)
        figures._folded_at = float("inf")  # not yet
        assert failed(figures) == 5
        figures._folded_at = float("-inf")
        assert failed(figures) == 5
        assert not ended.exists()
        assert failed(figures) == 5

    def test_a_process_that_was_taken_for_ended_goes_on(self, folder):
        figures = figures_of(folder)
        LOG_INS.add(("failed",))
        figures.write()
        os.utime(figures._path, (LONG_AGO, LONG_AGO))
        files.fold(folder, files.find_ended(folder))
        assert not figures._path.exists()
        LOG_INS.add(("failed",))
        assert failed(figures) == 2
        assert orjson.loads(figures._path.read_bytes())["figures"]["login_attempts_total"] == [
            [["failed"], [1]]
        ]

    def test_a_clean_end_leaves_no_file(self, folder):
        figures = SharedFigures(folder)
        figures.start()
        LOG_INS.add(("failed",))
        figures.close()
        assert [path.name for path in folder.glob("*.json")] == ["ended.json"]
        LOG_INS.series.clear()
        assert failed(figures_of(folder)) == 1

    def test_what_it_does_not_know_is_left_out(self, folder):
        """Another release, or somebody's editor."""
        folder.mkdir()
        for number, content in enumerate((b"", b"[1]", b'{"figures": {"gone_total": [[["x"], [1]]]}}')):
            (folder / f"a-{number}.json").write_bytes(content)
        wrong = {
            "login_attempts_total": [[["failed", "twice"], [1]], [["failed"], [1, 2]], [["failed"], [3]]]
        }
        (folder / "b-1.json").write_bytes(orjson.dumps({"figures": wrong}))
        assert failed(figures_of(folder)) == 3

    def test_a_folder_that_cannot_be_written_is_said_once(self, tmp_path, caplog):
        (tmp_path / "file").write_text("")
        figures = figures_of(tmp_path / "file" / "figures")
        LOG_INS.add(("failed",))
        for _ in range(3):
            figures.write()
        assert failed(figures) == 1
        assert [record.message for record in caplog.records] == ["figures cannot be shared"]


class TestMinutes:
    def test_give_the_rates_of_the_last_ones(self, folder):
        figures = figures_of(folder)
        for status, seconds in (("200", 0.004), ("200", 0.004), ("404", 0.02), ("500", 4.0)):
            HTTP_REQUESTS.observe(("GET", "/x", status), seconds)
        minute = int(time.time() // 60)
        rates = rates_of(figures.read(), minute=minute, minutes=5)
        assert (rates.requests, rates.errors, rates.error_rate) == (4, 1, 0.25)
        assert rates.mean_ms == pytest.approx(1007)
        assert rates.p50_ms == 5.0
        assert rates.p99_ms == pytest.approx(4900)
        assert rates_of(figures.read(), minute=minute + 10, minutes=5).mean_ms is None

    def test_go_when_they_are_past(self, folder):
        MINUTES.get(("1",))[0] += 1
        totals = figures_of(folder).read()
        assert totals[MINUTES.name] == {}


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt

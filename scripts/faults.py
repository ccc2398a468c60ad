"""`guichet faults`: seeded trials of a whole installation under load and under attack, each with a verdict."""

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from scripts.embedded.common import EmbeddedServerError
from scripts.json_report import json_option, write_json
from scripts.trials.errors import TrialError
from scripts.trials.installation import USERS_FILE
from scripts.trials.plan import Plan, make_plan
from scripts.trials.report import outcome_document, show_outcome, show_summary
from scripts.trials.run import Outcome, run_trial

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a directory that is ours alone
_PEOPLE_MAX: Final = 2_000
_MINUTES_MAX: Final = 24 * 60.0


@click.command()
@click.option("--seed", default=1, show_default=True, help="Of the first trial; the next ones count on.")
@click.option("--minutes", default=3.0, show_default=True, type=click.FloatRange(0.05, _MINUTES_MAX))
@click.option(
    "--trials", default=1, show_default=True, type=click.IntRange(1, 1000), help="One after another."
)
@click.option("--people", default=96, show_default=True, type=click.IntRange(1, _PEOPLE_MAX))
@click.option(
    "--workers", type=click.IntRange(1, 16), help="Booking workers; left out, two or four by the seed."
)
@click.option(
    "--pace",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.01, 100),
    help="How closely faults follow each other; at 0.5 twice the peace between them.",
)
@click.option("--only", "kinds", multiple=True, help="Faults whose kind contains this; may be repeated.")
@json_option
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep histories and logs there; left out, only those of a trial that failed are kept.",
)
@click.option("--quiet", is_flag=True, help="Do not tell of every fault.")
def command(
    *,
    seed: int,
    minutes: float,
    trials: int,
    people: int,
    workers: int | None,
    pace: float,
    kinds: tuple[str, ...],
    json_path: str | None,
    keep: Path | None,
    quiet: bool,
) -> None:
    """Break a whole installation in every way, while people book, and check every promise. Exits 1 on a violation.

    Everything runs on this machine, on servers of its own, and is gone afterwards. The same seed makes the same plan;
    the moments at which faults meet requests are the machine's.
    """
    # As by Ctrl-C: what runs is stopped, what is mounted is not left.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=json_path == "-")
    outcomes: list[Outcome] = []
    for number in range(seed, seed + trials):
        plan = make_plan(seed=number, minutes=minutes, people=people, kinds=kinds, workers=workers, pace=pace)
        outcomes.append(_run(plan, console, keep, quiet=quiet))
        show_outcome(console, outcomes[-1])
        write_json(_document(outcomes), json_path)
    show_summary(console, outcomes)
    if not all(outcome.ok for outcome in outcomes):
        sys.exit(1)


def _run(plan: Plan, console: Console, keep: Path | None, *, quiet: bool) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix="guichet-faults-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None))
    began = time.monotonic()

    def say(text: str) -> None:
        if not quiet:
            console.print(f"{time.monotonic() - began:7.1f}  {text}", highlight=False, markup=False)

    try:
        outcome = run_trial(plan, folder, say)
        if keep is not None or not outcome.ok:
            console.print(f"history and logs: {_save(plan, folder, keep)}", highlight=False)
    except (TrialError, EmbeddedServerError) as error:
        raise click.ClickException(
            f"{error}\nThe history and the logs are in {_save(plan, folder, keep)}"
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _save(plan: Plan, folder: Path, keep: Path | None) -> Path:
    """Copies what the trial wrote, without its servers' data."""
    place = (keep or Path("faults")) / f"seed-{plan.seed}"
    place.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file() and path.name != USERS_FILE:  # their tokens are nobody's business
            shutil.copy2(path, place)
    return place


def _document(outcomes: list[Outcome]) -> dict[str, Any]:
    return {"ok": all(o.ok for o in outcomes), "trials": [outcome_document(o) for o in outcomes]}

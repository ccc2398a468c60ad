"""`guichet loadtest`: real bookings at a deployment, each followed to its decision, and a verdict."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import gevent
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from scripts.json_report import json_option, write_json
from scripts.load.fire import fire
from scripts.load.follow import Follower, sample_statuses
from scripts.load.history import Attempt, History
from scripts.load.plan import Plan, make_plan
from scripts.load.report import report_document, show_report
from scripts.load.service import ServiceError
from scripts.load.verdict import judge

_MILLION: Final = 1_000_000
_CONCURRENCY_MAX: Final = 4096
_SECONDS_MAX: Final = 24 * 3600
_TICK_SECONDS: Final = 0.2


@click.command()
@click.option("--base-url", help="Deployment to test; left out, the one that `guichet up` runs here.")
@click.option("--event", "event_id", type=click.IntRange(1), help="Event to book; left out, a new one.")
@click.option("--capacity", default=100, show_default=True, type=click.IntRange(1), help="Of the new event.")
@click.option("--tickets", default="1", show_default=True, help="A request: N, or N-M at random.")
@click.option("--requests", default=1000, show_default=True, type=click.IntRange(1, _MILLION))
@click.option("--concurrency", default=64, show_default=True, type=click.IntRange(1, _CONCURRENCY_MAX))
@click.option("--users", type=click.IntRange(1, _MILLION), help="Who take turns; left out, one a request.")
@click.option(
    "--arrivals",
    default="closed",
    show_default=True,
    type=click.Choice(["closed", "poisson", "burst"]),
    help="Each connection waits for its answer; independent people; all at once.",
)
@click.option(
    "--rate", default=500.0, show_default=True, type=click.FloatRange(0.01), help="Poisson, a second."
)
@click.option(
    "--timeout", default=60.0, show_default=True, help="Seconds without a decision until one is lost."
)
@click.option("--max-seconds", default=900.0, show_default=True, type=click.FloatRange(1, _SECONDS_MAX))
@click.option(
    "--repeat-share", default=0.01, show_default=True, type=click.FloatRange(0, 1), help="Sent twice."
)
@click.option("--seed", default=1, show_default=True, help="Of everything random.")
@click.option("--email", help="A host or admin, to make the event; left out, the admin of `guichet up`.")
@click.option("--password", help="Theirs.", envvar="GUICHET_LOADTEST_PASSWORD")
@click.option(
    "--tokens", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="From `guichet tokens`."
)
@json_option
def command(**options: Any) -> None:  # noqa: ANN401 - click's options
    """Fire bookings at a deployment, follow each to its decision, and judge. Exits 1 on any violation."""
    console = Console(stderr=options["json_path"] == "-")
    try:
        plan = make_plan(options)
        history = run(plan, console)
    except (ServiceError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    verdict = judge(history)
    document = {
        "base_url": plan.base_url,
        "event_id": plan.load.event_id,
        "parameters": {
            name: options[name] for name in ("concurrency", "arrivals", "rate", "tickets", "seed")
        },
        "users": len(plan.users),
    } | report_document(history, verdict, open_loop=plan.load.arrivals == "poisson")
    show_report(console, document)
    write_json(document, options["json_path"])
    if not verdict.ok:
        sys.exit(1)


def run(plan: Plan, console: Console) -> History:
    """Fires, follows, reads the rest of the ledger and a sample of statuses."""
    progress = _Progress(console, plan.load.requests)
    follower = Follower(plan.target, plan.load.event_id)
    try:
        follower.catch_up()
        with progress.bar:
            background = gevent.spawn(_follow_while_firing, follower, progress)
            sent = fire(plan.target, plan.load, plan.users, progress.answered)
            background.kill()
            # A page that was being read may be read again; nothing of it was noted.
            follower.close()
            jobs = {job_id for attempt in sent for job_id in attempt.job_ids}
            follower.follow(
                lambda known: progress.decided(jobs, known),
                patience_seconds=plan.patience_seconds,
                seconds_max=plan.load.seconds_max,
            )
    finally:
        follower.close()
    if follower.error:
        console.print(f"the ledger could not be read to its end: {follower.error}", style="red")
    statuses, undecided = sample_statuses(plan.target, sent, dict(plan.users), follower.jobs)
    return History(sent, follower.entries, statuses, undecided)


@dataclass(slots=True)
class _Progress:
    """The live bar: answered and decided requests."""

    console: Console
    total: int
    bar: Progress = field(init=False)

    def __post_init__(self) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TimeElapsedColumn(),
            console=self.console,
            auto_refresh=False,  # a thread would compete with the greenlets
        )
        self.bar.add_task("answered", total=self.total)
        self.bar.add_task("decided", total=self.total)

    def answered(self, _attempt: Attempt) -> None:
        self.bar.tasks[0].completed += 1

    def decided(self, jobs: set[str], known: set[str]) -> bool:
        """Shows how many of `jobs` are known; True when all are."""
        done = len(jobs & known)
        self.bar.update(self.bar.task_ids[1], completed=done, total=len(jobs), refresh=True)
        return done == len(jobs)


def _follow_while_firing(follower: Follower, progress: _Progress) -> None:
    before = len(follower.entries)
    while True:
        if not follower.run_once():
            gevent.sleep(_TICK_SECONDS)
        progress.bar.tasks[1].completed = len(follower.entries) - before
        progress.bar.refresh()

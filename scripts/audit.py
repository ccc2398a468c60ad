"""`guichet audit`: checks every promise on a live database, and with Redis while it still knows; `--repair` first
mends Redis from the ledger.
"""

import sys
import time
from dataclasses import replace
from typing import Any, Final

import click
import orjson
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from scripts.environment import load_command_settings, read_settings, sqlalchemy_url
from shared.db import make_engine, transaction
from shared.domain.findings import CHECKS
from shared.line.client import make_redis
from shared.services.audit import Tally, audit_line, audit_tables, snapshot_transaction
from shared.services.audit.findings import finding_document
from shared.settings import Settings

SHOWN_DEFAULT: Final = 20


@click.command()
@click.option("--event", "event_id", type=int, help="Only this event.")
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
@click.option("--show", default=SHOWN_DEFAULT, show_default=True, help="Findings shown in the table.")
@click.option("--redis/--no-redis", "with_redis", default=True, help="Compare with Redis too.")
@click.option("--database-url", help="Instead of DATABASE_URL.")
@click.option("--redis-url", help="Instead of REDIS_URL.")
@click.option(
    "--repair", "with_repair", is_flag=True, help="Mend Redis from the ledger first. Stop the workers."
)
@click.option("--dry-run", is_flag=True, help="With --repair: say what would be mended, change nothing.")
def command(
    *,
    event_id: int | None,
    as_json: bool,
    show: int,
    with_redis: bool,
    database_url: str | None,
    redis_url: str | None,
    with_repair: bool,
    dry_run: bool,
) -> None:
    """Replay every ledger and compare it with the tables and the line. Exits 1 when anything is wrong.

    --repair mends Redis from the ledger, never the ledger, and audits afterwards. Booking workers must be stopped;
    when nothing runs on the data folder, its servers are started for the time of the command.
    """
    if dry_run and not with_repair:
        raise click.UsageError("--dry-run goes with --repair.")
    if with_repair:
        if event_id is not None or not with_redis:
            raise click.UsageError("--repair mends the whole line: without --event and --no-redis.")
        if (database_url is None) != (redis_url is None):
            raise click.UsageError("--repair mends a pair: name both addresses, or none.")
        from scripts.repairs import repair_and_audit

        settings = _settings(database_url, redis_url, complete=False)
        sys.exit(0 if repair_and_audit(settings, as_json=as_json, show=show, dry_run=dry_run) else 1)
    settings = _settings(database_url, redis_url)
    started = time.perf_counter()
    tally = run_audit(settings, event_id=event_id, with_redis=with_redis)
    seconds = time.perf_counter() - started
    if as_json:
        document = tally.document() | {"event_id": event_id, "seconds": round(seconds, 3)}
        sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        show_tally(Console(), tally, seconds, show)
    if not tally.ok:
        sys.exit(1)


def _settings(database_url: str | None, redis_url: str | None, *, complete: bool = True) -> Settings:
    """A database named here is not compared with a Redis that was named elsewhere."""
    if database_url is None:
        settings = load_command_settings(needs=("database_url",)) if complete else read_settings()
    else:
        settings = replace(read_settings(), database_url=sqlalchemy_url(database_url), redis_url="")
    return replace(settings, redis_url=redis_url) if redis_url else settings


def run_audit(settings: Settings, *, event_id: int | None = None, with_redis: bool = True) -> Tally:
    """The whole audit. A Redis that is away is a note, not a finding."""
    tally = Tally()
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with snapshot_transaction(engine) as session:
            audit_tables(session, tally, event_id=event_id)
        if with_redis and settings.redis_url:
            # Patient: a line that was not looked at is worse than a slow look.
            redis = make_redis(settings.redis_url, max_connections=2, socket_timeout=30.0)
            try:
                with transaction(engine) as session:
                    audit_line(session, redis, tally, event_id=event_id)
            except RedisError as error:
                tally.notes[f"Redis did not answer, the line was not checked: {type(error).__name__}"] += 1
            finally:
                redis.close()
    finally:
        engine.dispose()
    return tally


def show_tally(console: Console, tally: Tally, seconds: float, show: int) -> None:
    """The report as people read it."""
    table = Table(title=f"audit: {tally.examined['rules']:,} ledger rows in {seconds:.1f} s")
    table.add_column("check")
    table.add_column("what must hold", overflow="fold")
    table.add_column("examined", justify="right")
    table.add_column("verdict", justify="right")
    for check, promise in CHECKS.items():
        failed = tally.failed[check]
        verdict = f"[red]{failed:,} WRONG[/red]" if failed else "[green]OK[/green]"
        table.add_row(check, promise, f"{tally.examined[check]:,}", verdict)
    console.print(table)
    for note, count in tally.notes.items():
        console.print(f"note: {note}: {count:,}", highlight=False)
    for finding in tally.findings[:show]:
        console.print(_sentence(finding_document(finding)), style="red", highlight=False, soft_wrap=True)
    hidden = sum(tally.failed.values()) - min(show, len(tally.findings))
    if hidden:
        console.print(f"… and {hidden:,} more; --show and --json give more of them", highlight=False)
    if tally.ok:
        console.print("[green]Every promise holds.[/green]")


def _sentence(finding: dict[str, Any]) -> str:
    place = [f"event {finding['event_id']}"] if finding["event_id"] is not None else []
    place += [f"number {finding['number']}"] if finding["number"] is not None else []
    place += [f"job {finding['job_id']}"] if finding["job_id"] is not None else []
    where = ", ".join(place) or "installation"
    return f"{finding['check']}: {where}: {finding['what']}: expected {finding['expected']}, found {finding['found']}"

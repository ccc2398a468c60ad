"""`guichet queue`: steers and inspects the line from a shell on the server, through the services that HTTP calls."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.table import Table

from scripts.caller import caller
from scripts.environment import load_command_settings
from scripts.line_access import LineAccess, open_line, plain_errors
from scripts.top import render
from shared.clock import parse_rfc3339
from shared.db import transaction
from shared.line.clean import CleanableState
from shared.line.drain import read_line_end
from shared.services import line_clean, line_drain, line_pause
from shared.services.line_jobs import JobEntry, JobQuery, JobState, list_jobs
from shared.services.line_stats import pause_document
from shared.services.reasons import check_reason
from shared.store.line_state import find_pause_record

PAGE: Final = 100  # jobs asked for at a time
SECONDS_MAX: Final = 10 * 365 * 86_400
CLEANED_MAX: Final = 10_000  # as over HTTP: a longer run would keep Redis from bookings

_json = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
_reason = click.option("--reason", help="Why; it stands in the audit log, and clients see that of a pause.")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")


@click.group()
def command() -> None:
    """Look at the line and steer it: the verbs of /api/admin/queue, for a shell on the server."""


@command.command()
@_json
def stats(*, as_json: bool) -> None:
    """Depths, speed, partitions, workers, and what is wrong. Exits 1 when the line is not healthy."""
    with plain_errors(), open_line(load_command_settings()) as line:
        document = line.stats()
    if as_json:
        _write(document)
    else:
        Console().print(render(document))
    if not document["healthy"]:
        sys.exit(1)


@command.command()
@_reason
@click.option("--resume-at", help="RFC 3339 instant at which the line goes on by itself.")
@click.option("--seconds", type=click.IntRange(1, SECONDS_MAX), help="Instead: how long.")
@_json
def pause(*, reason: str | None, resume_at: str | None, seconds: int | None, as_json: bool) -> None:
    """Pause deciding. Requests are still accepted, and wait; when this returns, nothing more is decided."""
    until = _instant(resume_at, seconds)
    with plain_errors(), open_line(load_command_settings()) as line:
        with transaction(line.engine) as session:
            line_pause.pause(session, actor_id=None, reason=reason, resume_at=until, by=caller())
        _say_state(line, as_json=as_json)


@command.command()
@_reason
@_json
def resume(*, reason: str | None, as_json: bool) -> None:
    """End the pause."""
    with plain_errors(), open_line(load_command_settings()) as line:
        with transaction(line.engine) as session:
            line_pause.resume(session, actor_id=None, reason=reason, by=caller())
        _say_state(line, as_json=as_json)


@command.command()
@click.argument("state", type=click.Choice(["finished", "failed"]))
@click.option(
    "--older-than",
    "older_than_seconds",
    default=0,
    show_default=True,
    type=click.IntRange(0, SECONDS_MAX),
    help="Seconds since it ended.",
)
@click.option(
    "--limit",
    default=1000,
    show_default=True,
    type=click.IntRange(1, CLEANED_MAX),
    help="At most so many jobs.",
)
@_reason
@_dry_run
@_json
def clean(
    *,
    state: CleanableState,
    older_than_seconds: int,
    limit: int,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove decided jobs from Redis before their time. The ledger goes on answering for them."""
    with plain_errors(), open_line(load_command_settings()) as line:
        check_reason(reason)  # before anything is gone
        cleaned = line_clean.clean(
            line.runner,
            line.installation,
            state=state,
            older_than_seconds=older_than_seconds,
            limit=limit,
            dry_run=dry_run,
        )
        if cleaned.is_change:
            with transaction(line.engine) as session:
                line_clean.record_clean(session, cleaned, actor_id=None, reason=reason, by=caller())
        if cleaned.trouble is not None:
            raise cleaned.trouble
    document = {"state": state, "removed": cleaned.removed, "would_remove": cleaned.found}
    if as_json:
        _write(document)
    else:
        click.echo(f"{cleaned.found:,} {state} jobs {'would be removed' if dry_run else 'removed'}.")


@command.command()
@click.argument("event_id", type=click.IntRange(1))
@click.option("--reason", required=True, help="Why. It is public: in the ledger, and told to every client.")
@_dry_run
@_json
def drain(*, event_id: int, reason: str, dry_run: bool, as_json: bool) -> None:
    """Withdraw every booking request that now waits for EVENT_ID, each at its place."""
    with plain_errors(), open_line(load_command_settings()) as line:
        check_reason(reason)
        end = read_line_end(line.runner, line.installation, event_id)
        with transaction(line.engine) as session:
            drained = line_drain.drain(
                session,
                end,
                event_id=event_id,
                reason=reason,
                actor_id=None,
                dry_run=dry_run,
                by=caller(),
            )
    if as_json:
        _write(asdict(drained))
        return
    if not drained.undecided:
        click.echo(f"Nothing waits for event {event_id}: no mark was set.")
        return
    verb = "would be" if dry_run else "are to be"
    click.echo(
        f"Event {event_id}: bookings among {drained.undecided:,} undecided requests {verb} withdrawn,"
        f" up to arrival {drained.up_to_arrival:,}."
    )


@command.command()
@click.option(
    "--state",
    type=click.Choice(["waiting", "in_flight", "failed", "finished"]),
    default="waiting",
    show_default=True,
    help="Which jobs.",
)
@click.option("--partition", type=click.IntRange(0), help="Only of this partition.")
@click.option("--event", "event_id", type=click.IntRange(1), help="Only of this event.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many.")
@_json
def jobs(*, state: JobState, partition: int | None, event_id: int | None, limit: int, as_json: bool) -> None:
    """The jobs in the line: undecided ones oldest first, decided ones newest first."""
    query = JobQuery(state=state, limit=min(limit, PAGE), partition=partition, event_id=event_id)
    with plain_errors(), open_line(load_command_settings()) as line:
        found = _collect(line, query, limit)
    if as_json:
        _write([asdict(job) for job in found])
        return
    columns = {"id": "id", "kind": "kind", "event_id": "event", "user_id": "user", "arrival": "arrival"}
    columns |= {"age_seconds": "age, s", "error": "error"}
    table = Table(title=f"{len(found):,} {state.replace('_', ' ')} jobs", box=None, padding=(0, 1))
    for field, title in columns.items():
        table.add_column(title, overflow="fold", no_wrap=field == "id")
    for job in found:
        fields = asdict(job)
        table.add_row(*("" if fields[field] is None else str(fields[field]) for field in columns))
    Console().print(table)


def _collect(line: LineAccess, query: JobQuery, limit: int) -> list[JobEntry]:
    """Page after page until there are `limit` jobs, or no more."""
    found: list[JobEntry] = []
    while True:
        page = list_jobs(line.runner, partitions=line.installation.partitions, query=query)
        found += page.jobs
        if page.next is None or len(found) >= limit:
            return found[:limit]
        query = replace(query, after=page.next)


def _instant(resume_at: str | None, seconds: int | None) -> datetime | None:
    """The end of a pause: in the future, or none."""
    if resume_at is not None and seconds is not None:
        raise click.UsageError("Give --resume-at or --seconds, not both.")
    if seconds is not None:
        return datetime.now(UTC) + timedelta(seconds=seconds)
    if resume_at is None:
        return None
    try:
        instant = parse_rfc3339(resume_at)
    except ValueError:
        raise click.BadParameter("use an RFC 3339 instant", param_hint="--resume-at") from None
    if instant.tzinfo is None or instant <= datetime.now(UTC):
        raise click.BadParameter("must be in the future, with its offset", param_hint="--resume-at")
    return instant


def _say_state(line: LineAccess, *, as_json: bool) -> None:
    with transaction(line.engine) as session:
        document: Mapping[str, Any] = pause_document(find_pause_record(session))
    if as_json:
        _write(document)
    elif document["paused"] is None:
        click.echo("The line runs.")
    else:
        until = document["paused"]["resume_at"] or "`guichet queue resume`"
        click.echo(f"The line is paused until {until}: {document['paused']['reason'] or 'no reason given'}.")


def _write(document: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.buffer.flush()

"""`guichet analytics`: how far the roll-ups are; recounts them from the ledgers."""

import sys
from collections.abc import Callable
from typing import Any, Final

import click
import orjson
from rich.console import Console

from scripts.environment import load_command_settings
from shared.clock import rfc3339
from shared.db import DATABASE_AWAY, Engine, make_engine, transaction
from shared.services.analytics_check import Recount, check_yesterday, rebuild, recount_event
from shared.store.analytics import read_freshness

# Recounting says where it is about so often.
_EVERY: Final = 5_000


@click.command()
@click.option(
    "--check", is_flag=True, help="Recount yesterday, and every event that something happened to then."
)
@click.option("--event", "event_id", type=click.IntRange(min=1), help="Recount this event.")
@click.option("--rebuild", "everything", is_flag=True, help="Recount everything from every ledger.")
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
def command(*, check: bool, event_id: int | None, everything: bool, as_json: bool) -> None:
    """Say how far the roll-ups are, or recount them. Safe while everything runs.

    A recount reads the ledgers, mends what differs and says what that was. Exits 1 when anything was mended.
    """
    if check + (event_id is not None) + everything > 1:
        raise click.UsageError("One of --check, --event and --rebuild.")
    settings = load_command_settings(needs=("database_url",))
    engine = make_engine(settings.database_url, pool_size=1)
    console = Console(stderr=as_json)
    try:
        recount = _recount(
            engine, check=check, event_id=event_id, everything=everything, tell=_teller(console)
        )
        with transaction(engine) as session:
            freshness = read_freshness(session)
    except DATABASE_AWAY as error:
        reason = str(error).splitlines()[0]
        raise click.ClickException(f"PostgreSQL failed ({reason}); again when it is back.") from None
    finally:
        engine.dispose()
    document = {
        "as_of": rfc3339(freshness.as_of),
        "complete": freshness.complete,
        "recount": None if recount is None else recount.document(),
    }
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        _show(console, document)
    if recount is not None and recount.mended:
        sys.exit(1)


def _recount(
    engine: Engine, *, check: bool, event_id: int | None, everything: bool, tell: Callable[[Recount], None]
) -> Recount | None:
    if check:
        return check_yesterday(engine)
    if event_id is not None:
        return recount_event(engine, event_id)
    return rebuild(engine, tell) if everything else None


def _teller(console: Console) -> Callable[[Recount], None]:
    said = 0

    def tell(recount: Recount) -> None:
        nonlocal said
        done = recount.events + recount.users
        if done >= said + _EVERY:
            said = done
            console.print(f"{recount.events:,} events, {recount.users:,} users recounted …", highlight=False)

    return tell


def _show(console: Console, document: dict[str, Any]) -> None:
    state = "complete" if document["complete"] else "older ledgers are still being counted"
    console.print(f"Everything decided until {document['as_of']} is counted; {state}.", highlight=False)
    recount = document["recount"]
    if recount is None:
        return
    seen = f"{recount['events']:,} events, {recount['users']:,} users, {recount['days']:,} days recounted"
    if not recount["mended"]:
        console.print(f"{seen}: nothing differed.", highlight=False)
        return
    console.print(f"{seen}. Rows mended:", highlight=False)
    for table, rows in sorted(recount["mended"].items()):
        console.print(f"  {table}: {rows:,}", highlight=False)

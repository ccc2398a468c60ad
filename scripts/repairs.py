"""`guichet audit --repair`: mends Redis from the ledger, says each mend, and audits afterwards."""

import sys
import time
from collections.abc import Callable

import click
import orjson
from redis.exceptions import RedisError
from rich.console import Console

from scripts.audit import run_audit, show_tally
from scripts.caller import caller
from scripts.embedded.at_hand import servers_at_hand
from shared.db import DATABASE_AWAY, make_engine
from shared.line.client import AnswerUnknownError, LineUnavailableError, make_redis
from shared.line.take import OutdatedTokenError
from shared.services.repair import Mend, RepairRefusedError, Report, printable, repair
from shared.settings import Settings


def repair_and_audit(settings: Settings, *, as_json: bool, show: int, dry_run: bool) -> bool:
    """Whether everything holds afterwards; in a dry run, whether there is nothing to mend.

    Raises click.ClickException when the line cannot be repaired now.
    """
    console = Console(stderr=as_json)
    with servers_at_hand(settings) as at_hand:
        report = run_repair(at_hand, dry_run=dry_run, tell=lambda mend: _tell(console, mend, show))
        _show_beyond(console, report, show)
        if dry_run:
            if as_json:
                _write({"repair": report.document(), "ok": not report.mends and not report.beyond})
            return not report.mends and not report.beyond
        started = time.perf_counter()
        tally = run_audit(at_hand)
        seconds = time.perf_counter() - started
    if as_json:
        _write(tally.document() | {"repair": report.document(), "seconds": round(seconds, 3)})
    else:
        show_tally(console, tally, seconds, show)
    return tally.ok


def run_repair(
    settings: Settings, *, dry_run: bool = False, tell: Callable[[Mend], None] = lambda _mend: None
) -> Report:
    """The repair itself; whatever keeps it from being done is a click.ClickException that says what to do."""
    engine = make_engine(settings.database_url, pool_size=2)
    redis = make_redis(settings.redis_url, max_connections=4, socket_timeout=30.0)
    try:
        return repair(settings, engine, redis, dry_run=dry_run, tell=tell, by=caller())
    except RepairRefusedError as error:
        raise click.ClickException(f"Not repaired: {error}.") from None
    except (RedisError, LineUnavailableError, AnswerUnknownError) as error:
        raise click.ClickException(
            f"Redis failed in the middle of it ({type(error).__name__}: {error}); repair again when it is back."
        ) from None
    except DATABASE_AWAY as error:
        raise click.ClickException(
            f"PostgreSQL failed ({type(error).__name__}: {str(error).splitlines()[0]}); repair again when it is back."
        ) from None
    except OutdatedTokenError:
        raise click.ClickException(
            "A booking worker has claimed a partition in the middle of it; stop it, and repair again."
        ) from None
    finally:
        redis.close()
        engine.dispose()


def _tell(console: Console, mend: Mend, show: int) -> None:
    place = "" if mend.partition is None else f"partition {mend.partition}: "
    console.print(f"mend: {place}{mend.sentence}: {mend.count:,}", highlight=False, soft_wrap=True)
    for item in mend.items[:show]:
        console.print(f"      {item}", highlight=False, markup=False, soft_wrap=True)
    if mend.count > show:
        console.print(f"      … and {mend.count - show:,} more", highlight=False)


def _show_beyond(console: Console, report: Report, show: int) -> None:
    verb = "would be made" if report.dry_run else "made"
    console.print(f"{sum(mend.count for mend in report.mends):,} mends {verb}.", highlight=False)
    if not report.beyond:
        return
    text = f"{len(report.beyond):,} accepted requests are beyond repair; tell their clients to ask again:"
    console.print(text, style="red", highlight=False)
    for job_id, why in list(report.beyond.items())[:show]:
        console.print(f"      {printable(job_id)}: {why}", highlight=False, markup=False, soft_wrap=True)
    if len(report.beyond) > show:
        console.print(f"      … and {len(report.beyond) - show:,} more", highlight=False)


def _write(document: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")

"""`guichet simulate`: how long people will wait, before the sale."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click
from rich.console import Console

from scripts.benches.installation import Laboratory
from scripts.benches.processes import BenchError
from scripts.embedded.common import EmbeddedServerError
from scripts.environment import read_settings
from scripts.json_report import json_option, write_json
from scripts.simulation import costs
from scripts.simulation.arrivals import PROFILES, SELL_OUT_SECONDS
from scripts.simulation.calibration import REQUESTS
from scripts.simulation.costs import Calibration
from scripts.simulation.page import make_page
from scripts.simulation.report import CONNECTIONS_EACH, make_document, show
from scripts.simulation.sale import simulate
from scripts.simulation.scenario import Scenario, parse_tickets
from scripts.simulation.summary import summarise
from scripts.simulation.verification import calibrate_in, laboratory, show_verification, verify_in
from shared.settings import Settings

_MILLION: Final = 1_000_000
_DAY_SECONDS: Final = 86_400
_PROCESSES_MAX: Final = 64
SECONDS: Final = 60.0
# In a real sell-out there are far more requests than people.
SELL_OUT_RETRIES, SELL_OUT_LOOKS = 2, 1


@click.command()
@click.option("--seats", default=500, show_default=True, type=click.IntRange(1, _MILLION))
@click.option("--people", default=20_000, show_default=True, type=click.IntRange(1, _MILLION))
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, _DAY_SECONDS),
    help="Within which they press; left out, 60, or 17 of a sell-out.",
)
@click.option(
    "--profile", default="poisson", show_default=True, type=click.Choice(PROFILES), help="How they come."
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, _PROCESSES_MAX))
@click.option("--api", type=click.IntRange(1, _PROCESSES_MAX), help="API processes; left out, as set.")
@click.option("--cores", type=click.IntRange(1, 1024), help="Left out, those of the machine of the costs.")
@click.option("--tickets", default="1", show_default=True, help="A person: N, N-M, or N:WEIGHT,N:WEIGHT.")
@click.option(
    "--events", default=1, show_default=True, type=click.IntRange(1, 10_000), help="Share the seats."
)
@click.option(
    "--hot", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="Share that wants the first."
)
@click.option(
    "--sold-out-door/--no-sold-out-door",
    default=None,
    help="Whether the API refuses when nothing is left; left out, as set.",
)
@click.option("--batch-max", type=click.IntRange(1, 100_000), help="Requests a batch; left out, as set.")
@click.option(
    "--retries", type=click.IntRange(0, 100), help="Of who was refused at the door; left out, 0, or 2."
)
@click.option("--looks", type=click.IntRange(0, 100), help="At the page, before; left out, 0, or 1.")
@click.option("--polls/--no-polls", default=True, help="Whether who waits asks when `Retry-After` says so.")
@click.option("--seed", default=1, show_default=True, help="Of everything random.")
@click.option(
    "--calibrate", is_flag=True, help="Measure this machine's costs first, for this and later runs."
)
@click.option(
    "--verify", is_flag=True, help="Also hold the sale for real, on servers of its own, and compare."
)
@click.option("--calibration-requests", default=REQUESTS, hidden=True, help="A measurement; few in tests.")
@json_option
@click.option("--html", "html_path", type=click.Path(dir_okay=False, path_type=Path), help="And as a page.")
def command(
    *,
    calibrate: bool,
    verify: bool,
    calibration_requests: int,
    json_path: str | None,
    html_path: Path | None,
    **options: Any,  # noqa: ANN401 - click's options
) -> None:
    """Simulate a sale: when the seats are gone, how long people wait, and what limits it.

    Touches no installation; `--calibrate` and `--verify` start servers of their own. Exits 1 when the sale that
    `--verify` held broke a promise.
    """
    console = Console(stderr=json_path == "-")
    settings = read_settings()
    with _told_as_errors(), ExitStack() as stack:
        servers = _start_servers(console, stack) if calibrate or verify else None
        if servers:
            calibration = _calibrate(console, servers, settings, requests=calibration_requests)
        else:
            calibration = _find_calibration(settings)
        scenario = _scenario(options, settings, calibration)
        if servers and verify:
            with console.status("holding the sale"):
                found = verify_in(servers, scenario, calibration)
    if verify:
        show_verification(console, found)
        write_json(found.document(), json_path)
        sys.exit(1 if found.violations else 0)
    sale = simulate(scenario, calibration.costs)
    summary = summarise(sale.people, seats_left=sale.seats_left)
    document = make_document(scenario, calibration, sale, summary)
    show(console, document, summary.course)
    if html_path is not None:
        html_path.write_text(make_page(document, summary.course))
    write_json(document, json_path)


@contextmanager
def _told_as_errors() -> Iterator[None]:
    """What cannot be started or measured ends the command with its message."""
    try:
        yield
    except (BenchError, EmbeddedServerError) as error:
        raise click.ClickException(str(error)) from None


def _start_servers(console: Console, stack: ExitStack) -> Laboratory:
    signal.signal(signal.SIGTERM, _stop)
    with console.status("starting servers"):
        return stack.enter_context(laboratory())


def _calibrate(console: Console, servers: Laboratory, settings: Settings, *, requests: int) -> Calibration:
    with console.status("measuring what each step costs here"):
        calibration = calibrate_in(servers, requests=requests)
    path = costs.save(calibration, settings.data_dir)
    console.print(f"costs of this machine written to {path}", style="dim", highlight=False)
    return calibration


def _find_calibration(settings: Settings) -> Calibration:
    try:
        return costs.find_or_documented(settings.data_dir)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _scenario(options: dict[str, Any], settings: Settings, calibration: Calibration) -> Scenario:
    """What was asked for, completed: what the installation is set to, and how people in a sell-out behave."""
    try:
        tickets = parse_tickets(options["tickets"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--tickets") from None
    is_sell_out = options["profile"] == "sell-out"
    left_out = {
        "seconds": SELL_OUT_SECONDS if is_sell_out else SECONDS,
        "retries": SELL_OUT_RETRIES if is_sell_out else 0,
        "looks": SELL_OUT_LOOKS if is_sell_out else 0,
        "api": settings.web_processes,
        "cores": calibration.cores,
        "sold_out_door": settings.sold_out_door,
        "batch_max": settings.batch_max,
    }
    given = {name: value for name, value in options.items() if value is not None}
    chosen = left_out | given | {"tickets": tickets}
    if chosen["events"] > chosen["seats"]:
        raise click.BadParameter("each event needs a seat", param_hint="--events")
    return Scenario(
        **chosen,
        partitions=settings.partitions,
        event_undecided_max=settings.event_undecided_max,
        connections=CONNECTIONS_EACH * chosen["api"],
    )


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

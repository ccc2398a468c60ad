"""From the command's options to a load test that is ready to start: deployment, event, users."""

from dataclasses import dataclass
from typing import Any, Final

import click

from scripts.data_folder import find_run_file
from scripts.environment import complete_settings, read_settings
from scripts.load.client import Target, parse_target
from scripts.load.fire import Load
from scripts.load.service import Service
from scripts.load.users import REGISTERED_MAX, Users, mint_users, read_tokens, register_users

_TICKETS_MAX: Final = 10  # the contract's, a booking


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A load test, ready to start."""

    base_url: str
    target: Target
    load: Load
    users: Users
    patience_seconds: float


def make_plan(options: dict[str, Any]) -> Plan:
    """Finds or makes users and event; raises click.UsageError, ServiceError, ValueError when it cannot."""
    running = find_run_file(read_settings().data_dir) or {}
    base_url = options["base_url"] or running.get("base_url", "")
    if not base_url:
        raise click.UsageError("Say which deployment: --base-url; no `guichet up` runs here.")
    target = parse_target(base_url)
    tickets = _tickets(options["tickets"])
    is_ours = base_url.rstrip("/") == str(running.get("base_url", "")).rstrip("/")
    users = _users(options, target, is_ours=is_ours)
    event_id = options["event_id"] or _create_event(options, target, running if is_ours else {})
    load = Load(
        event_id=event_id,
        requests=options["requests"],
        concurrency=options["concurrency"],
        tickets=tickets,
        arrivals=options["arrivals"],
        rate=options["rate"],
        seed=options["seed"],
        repeat_share=options["repeat_share"],
        seconds_max=options["max_seconds"],
    )
    return Plan(base_url=base_url, target=target, load=load, users=users, patience_seconds=options["timeout"])


def _tickets(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    try:
        bounds = int(low), int(high or low)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither N nor N-M", param_hint="--tickets") from None
    if not 1 <= bounds[0] <= bounds[1] <= _TICKETS_MAX:
        raise click.BadParameter("1 to 10 tickets a request", param_hint="--tickets")
    return bounds


def _users(options: dict[str, Any], target: Target, *, is_ours: bool) -> Users:
    """From the file; from the database when the deployment is the one that runs here; else over HTTP."""
    count = options["users"] or options["requests"]
    if options["tokens"]:
        return read_tokens(options["tokens"], count)
    settings = complete_settings(read_settings())
    if is_ours and settings.database_url and settings.secret_key and not settings.is_production:
        return mint_users(settings, count)
    if count > REGISTERED_MAX:
        raise click.UsageError(
            f"{count:,} users cannot be registered over HTTP (each costs the server a password hash): make --tokens"
            f" with `guichet tokens`, or say --users {REGISTERED_MAX} or fewer."
        )
    return register_users(target, count)


def _create_event(options: dict[str, Any], target: Target, running: dict[str, Any]) -> int:
    admin = running.get("admin") or {}
    email = options["email"] or admin.get("email")
    password = options["password"] or admin.get("password")
    if not email or not password:
        raise click.UsageError(
            "To make an event: --email and --password of a host or admin; or give --event."
        )
    service = Service(target)
    try:
        return service.create_event(service.log_in(email, password), capacity=options["capacity"])
    finally:
        service.close()

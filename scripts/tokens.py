"""`guichet tokens`: access tokens of load users, so that any load tool can be pointed at an installation."""

import os
from pathlib import Path
from typing import Final

import click

from scripts.environment import load_command_settings
from shared.db import make_engine, transaction
from shared.services.load_users import ensure_load_users, mint_load_tokens
from shared.settings import Settings
from shared.store.clock import read_clock

COUNT_MAX: Final = 1_000_000
LIFETIME_DEFAULT: Final = 3600
LIFETIME_MAX: Final = 7 * 86_400


@click.command()
@click.option(
    "--count", required=True, type=click.IntRange(1, COUNT_MAX), help="How many users, each with a token."
)
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@click.option(
    "--lifetime",
    default=LIFETIME_DEFAULT,
    show_default=True,
    type=click.IntRange(1, LIFETIME_MAX),
    help="Seconds that the tokens are valid.",
)
def command(count: int, out: Path, lifetime: int) -> None:
    """Write one `user_id<TAB>access token` a line for users load-1@example.org and so on.

    Users that are missing are created; none of them can log in. Refused in production.
    """
    settings = load_command_settings(needs=("database_url", "secret_key"))
    tokens = make_tokens(settings, count, lifetime_seconds=lifetime)
    # Whoever reads these may act as these users: for the owner's eyes only.
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{user_id}\t{token}\n" for user_id, token in tokens)
    click.echo(f"{len(tokens):,} tokens, valid for {lifetime:,} s, in {out}")


def make_tokens(settings: Settings, count: int, *, lifetime_seconds: int) -> list[tuple[int, str]]:
    """User ids with their tokens; raises click.ClickException in production."""
    if settings.is_production:
        raise click.ClickException("refused in production: these users have no password and no owner")
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with transaction(engine) as session:
            user_ids = ensure_load_users(session, count)
            now = read_clock(session)
    finally:
        engine.dispose()
    return list(mint_load_tokens(settings, user_ids, now=now, lifetime_seconds=lifetime_seconds))

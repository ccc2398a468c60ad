"""`guichet create-admin`: the only way to an admin besides the demo."""

import secrets

import click

from scripts.caller import caller
from scripts.environment import load_command_settings
from shared.db import make_engine, transaction
from shared.errors import InvalidInputError
from shared.services.accounts import check_new_password
from shared.services.passwords import Passwords
from shared.services.users import make_admin


@click.command()
@click.argument("email")
@click.option("--name", default="Admin", show_default=True, help="Name of a new account.")
@click.option(
    "--password", help="12 to 128 characters; left out, a new account gets one that is printed once."
)
@click.option("--ask-password", is_flag=True, help="Asks for the password instead.")
def command(email: str, name: str, password: str | None, *, ask_password: bool) -> None:
    """Makes the account EMAIL an admin; creates it when it does not exist.

    An existing account is promoted and keeps its name, and its password unless one is given.
    """
    settings = load_command_settings()
    email = email.strip()
    if "@" not in email[1:-1]:
        raise click.BadParameter(f"{email!r} is not an e-mail address", param_hint="EMAIL")
    if ask_password:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    chosen = password or secrets.token_urlsafe(18)
    try:
        check_new_password(chosen, email=email, pointer="#/password")
    except InvalidInputError as error:
        raise click.ClickException(f"password: {error.errors[0]['detail']}") from None
    chosen_hash = Passwords(settings).hash(chosen)
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with transaction(engine) as session:
            user, is_new = make_admin(
                session,
                name=name,
                email=email,
                password_hash=chosen_hash if password else None,
                by=caller(),
            )
            if is_new:
                user.password_hash = chosen_hash
            user_id = user.id
    finally:
        engine.dispose()
    click.echo(f"{email} (user {user_id}) is {'a new' if is_new else 'now an'} admin.")
    if is_new and not password:
        click.echo(f"Password, shown only now: {chosen}")

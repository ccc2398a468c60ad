"""`guichet`: every command, imported only when it is called, so that each starts fast."""

import importlib

import click

# command → module in scripts/; the module's `command` is a click.Command.
COMMANDS = {
    "analytics": "scripts.analytics",
    "audit": "scripts.audit",
    "backup": "scripts.backup",
    "bench": "scripts.bench",
    "create-admin": "scripts.create_admin",
    "faults": "scripts.faults",
    "loadtest": "scripts.loadtest",
    "migrate": "scripts.migrate",
    "postman": "scripts.postman",
    "queue": "scripts.queue",
    "restore": "scripts.restore",
    "seed": "scripts.seed",
    "simulate": "scripts.simulate",
    "tokens": "scripts.tokens",
    "top": "scripts.top",
    "up": "scripts.up",
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, for `--help`."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="guichet")
def main() -> None:
    """Guichet: a ticket window that never oversells."""

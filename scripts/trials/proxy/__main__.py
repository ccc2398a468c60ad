"""`python -m scripts.trials.proxy --socket PATH`: relays until its standard input ends."""

import random
import sys

import click

from scripts.trials.proxy.control import Control
from scripts.trials.proxy.relay import Relay


@click.command(help="Relays 127.0.0.1:PORT to a unix socket; commands and answers are JSON lines.")
@click.option("--socket", "socket_path", required=True, help="the server's unix socket")
@click.option("--port", default=0, help="0: any free one")
@click.option("--seed", default=0, help="whom a fault meets")
def main(socket_path: str, port: int, seed: int) -> None:
    """One proxy."""
    relay = Relay(socket_path, port, random.Random(seed))  # noqa: S311 - a trial must be repeatable
    control = Control(relay, sys.stdin.fileno(), sys.stdout.fileno())
    control.say({"port": relay.port})
    relay.run()


if __name__ == "__main__":
    main()

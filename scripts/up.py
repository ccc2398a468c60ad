"""`guichet up`: a whole installation in one terminal, on servers of its own where none are given."""

import os
import shutil
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import click

from scripts import data_folder
from scripts.embedded.common import EmbeddedServerError
from scripts.embedded.servers import Servers
from scripts.environment import libpq_url, read_settings
from scripts.migrate import migrate
from scripts.procfile import PROCFILE, PROJECT, read_procfile
from scripts.seed import DemoRefusedError, demo_logins, refuse_demo, seed_new_installation
from scripts.supervisor import Child, Supervisor, end_leftovers, say
from shared.settings import Settings, variable_name

_TICK_SECONDS = 0.2
_READY_TIMEOUT_SECONDS = 2.0
# gunicorn replaces its workers by itself; looking for that costs a scan of the process table.
_LOOK_AGAIN_SECONDS = 1.0
# The line of the Procfile that `--workers` multiplies.
_SCALED = "worker"


@click.command()
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Booking workers to run."
)
@click.option(
    "--procfile",
    default=PROCFILE,
    hidden=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
def command(workers: int, procfile: Path) -> None:
    """Runs everything: servers (unless DATABASE_URL and REDIS_URL name some), API, workers, tasks."""
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        _run(stopping, workers=workers, procfile=procfile)
    except (data_folder.DataFolderError, EmbeddedServerError, DemoRefusedError) as error:
        raise click.ClickException(str(error)) from None


def _run(stopping: threading.Event, *, workers: int, procfile: Path) -> None:
    settings = read_settings()
    folder = settings.data_dir.absolute()
    with ExitStack() as stack:
        lock = data_folder.lock_data_folder(folder)
        stack.callback(os.close, lock)
        stack.callback(data_folder.remove_run_file, folder)
        _end_leftovers(folder)
        settings = replace(settings, data_dir=folder, port=_free_port(settings.port))
        if not settings.metrics_dir:  # figures start from zero; a folder that somebody named is theirs
            shutil.rmtree(settings.metrics_folder, ignore_errors=True)
        servers = Servers(settings, folder)
        stack.callback(servers.stop)
        settings = servers.start(settings)
        if not settings.secret_key:
            settings = replace(settings, secret_key=data_folder.make_secret(folder))
        migrate(servers.owner_url(settings), partitions=settings.partitions)
        logins = _seed(settings)
        if stopping.is_set():
            return
        environ = _environ(replace(settings, database_url=servers.application_url(settings)))
        supervisor = Supervisor(_children(procfile, workers), environ=environ, directory=PROJECT)
        stack.callback(supervisor.stop)
        stack.callback(say, "up", "stopping")
        _watch(stopping, settings, servers, supervisor, logins)


def _watch(
    stopping: threading.Event,
    settings: Settings,
    servers: Servers,
    supervisor: Supervisor,
    logins: Mapping[str, str],
) -> None:
    """Keeps everything running until told to stop; says once that the door is open."""
    base_url = f"http://127.0.0.1:{settings.port}"
    written: dict[str, Any] = {}
    announced = False
    look_again_at = 0.0
    while not stopping.is_set():
        changed = any([servers.tick(), supervisor.tick()])
        if changed or time.monotonic() >= look_again_at:
            look_again_at = time.monotonic() + _LOOK_AGAIN_SECONDS
            document = _run_document(base_url, settings, servers, supervisor, logins)
            if document != written:
                data_folder.write_run_file(settings.data_dir, document)
                written = document
        if not announced and _is_ready(base_url):
            announced = True
            _announce(base_url, logins)
        stopping.wait(_TICK_SECONDS)


def _run_document(
    base_url: str, settings: Settings, servers: Servers, supervisor: Supervisor, logins: Mapping[str, str]
) -> dict[str, Any]:
    admin = next(({"email": email, "password": password} for email, password in logins.items()), None)
    groups = dict.fromkeys(child.group for child in supervisor.children)
    return {
        "base_url": base_url,
        "database_url": libpq_url(settings.database_url),
        "redis_url": settings.redis_url,
        "admin": admin,
        "processes": {**{group: supervisor.pids(group) for group in groups}, **servers.pids()},
    }


def _children(procfile: Path, workers: int) -> list[Child]:
    children = []
    for group, command_line in read_procfile(procfile).items():
        count = workers if group == _SCALED else 1
        names = [group] if count == 1 else [f"{group}.{number}" for number in range(1, count + 1)]
        children += [Child(name=name, group=group, command=command_line) for name in names]
    return children


def _environ(settings: Settings) -> dict[str, str]:
    """The children's environment: ours, with the programs beside our Python first in the path."""
    values = {
        name: str(getattr(settings, name))
        for name in ("database_url", "redis_url", "secret_key", "data_dir", "port")
    }
    named = {variable_name(name): value for name, value in values.items()}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, **named, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _end_leftovers(folder: Path) -> None:
    run = data_folder.find_run_file(folder)
    if run is None:
        return
    # the servers' leftovers are their own matter: they know how to be stopped
    pids = [
        pid for name, group in run["processes"].items() if name not in ("postgres", "redis") for pid in group
    ]
    if count := end_leftovers(pids, environ={variable_name("data_dir"): str(folder)}):
        say("up", f"ended {count} processes that an earlier run left behind")


def _free_port(port: int) -> int:
    """`port`, or any free one for 0; ends the command when somebody listens there."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise click.ClickException(
                f"port {port} cannot be used ({error.strerror}); choose another with PORT"
            ) from None
        return int(probe.getsockname()[1])


def _seed(settings: Settings) -> dict[str, str]:
    """Seeds a new installation; the demo's logins (the admin's first) where there is a demo."""
    if settings.is_production:
        refuse_demo(settings)
        return {}
    started = time.monotonic()
    if seed_new_installation(settings):
        say("up", f"demo data written in {time.monotonic() - started:.1f} s")
    return demo_logins(settings)


def _is_ready(base_url: str) -> bool:
    address = f"{base_url}/readyz"
    try:
        with urllib.request.urlopen(address, timeout=_READY_TIMEOUT_SECONDS):  # noqa: S310 - our own, http
            return True
    except (OSError, urllib.error.URLError):
        return False


def _announce(base_url: str, logins: Mapping[str, str]) -> None:
    say("up", f"Guichet is open at {base_url}")
    if logins:
        say("up", "Demo logins, for development only:")
        for email, password in logins.items():
            say("up", f"  {email:<28} {password}")
    say("up", "Ctrl-C stops everything and keeps the data.")

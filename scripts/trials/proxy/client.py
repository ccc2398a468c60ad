"""The proxy as who injects faults sees it: a process of its own, told what to do."""

import itertools
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import orjson

from scripts.embedded.common import wait_until
from scripts.procfile import PROJECT
from scripts.trials.proxy.door import Shut
from scripts.trials.proxy.snares import Then

_STOP_SECONDS: Final = 5.0


class ProxyError(Exception):
    """The proxy's process does not answer."""


class Proxy:
    """Listens on 127.0.0.1 for the server behind `socket_path`. Safe for several threads."""

    def __init__(self, socket_path: Path, *, seed: int = 0) -> None:
        self._socket_path = socket_path
        self._seed = seed
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._names = itertools.count(1)
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process' pid while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Returns once it listens; on the same port as before, if it ran before."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.trials.proxy", *self._arguments()],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is the trial's to handle
        )
        self.port = self._answer()["port"]

    def stop(self) -> None:
        """Ends it, and every connection with it."""
        if self._process is None:
            return
        process, self._process = self._process, None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def url(self, server_url: str) -> str:
        """The address of the same server (`unix://…`, or SQLAlchemy's with `?host=`) through the proxy."""
        if server_url.startswith("unix:"):
            return f"redis://127.0.0.1:{self.port}/0"
        parts = urlsplit(server_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self.port}{parts.path}"

    def delay(self, seconds: float, share: float = 1.0) -> None:
        """From now on a share of what arrives goes on that much later; order stays."""
        self._tell("delay", seconds=seconds, share=share)

    def trickle(self) -> None:
        """From now on bytes go one by one (100 KB in a few seconds)."""
        self._tell("trickle")

    def cut(self, share: float = 1.0) -> int:
        """Resets a share of the connections; how many it were."""
        return int(self._tell("cut", share=share)["connections"])

    def cut_in_message(self, share: float = 1.0) -> int:
        """A share of the connections ends in the middle of whatever they carry next; how many it will be."""
        return int(self._tell("break", share=share)["connections"])

    def freeze(self, share: float = 1.0) -> int:
        """Nothing passes on a share of the connections, and nobody is told; with all of them no new one is made.

        `heal` passes on what waited, also of a client that has gone by then.
        """
        return int(self._tell("freeze", share=share)["connections"])

    def refuse(self, how: Shut = "refused") -> None:
        """New connections fail; those that exist live on."""
        self._tell("refuse", how=how)

    def drop_reply(self, needle: bytes, *, then: Then = "cut", times: int = 1) -> str:
        """The next request with `needle` in it reaches the server; its reply does not come back. A name to ask for.

        "cut": the connection is reset when the reply comes. "hang": it stays open and silent, until the server
        ends it or `heal`.
        """
        return self._snare(needle, "reply", then, times)

    def drop_request(self, needle: bytes, *, then: Then = "cut", times: int = 1) -> str:
        """The next request with `needle` in it does not reach the server as a whole. A name to ask for."""
        return self._snare(needle, "request", then, times)

    def hits(self, name: str) -> int:
        """How often what that name stands for has happened."""
        return int(self.count()["hits"][name])

    def caught(self, name: str) -> list[int]:
        """The ports of the clients whose connections it closed on."""
        return list(self.count()["caught"][name])

    def forget(self, name: str) -> None:
        """It waits no longer, and the connections that it closed on are cut, as by the end of their client."""
        self._tell("forget", name=name)

    def await_hit(self, name: str, timeout_seconds: float) -> bool:
        """Whether it happened within the time."""
        return wait_until(lambda: self.hits(name) > 0, timeout_seconds=timeout_seconds)

    def heal(self) -> None:
        """Ends every fault of the network; what waited goes on, what hung for good is cut."""
        self._tell("heal")

    def count(self) -> dict[str, Any]:
        """`connections` now, `opened` ever, `chunks` passed, `hits` and clients `caught` by name."""
        return self._tell("count")

    def _snare(self, needle: bytes, drops: str, then: Then, times: int) -> str:
        name = f"{drops}-{next(self._names)}"
        self._tell("snare", name=name, needle=needle.hex(), drops=drops, then=then, times=times)
        return name

    def _arguments(self) -> list[str]:
        return ["--socket", str(self._socket_path), "--port", str(self.port), "--seed", str(self._seed)]

    def _tell(self, do: str, **arguments: object) -> dict[str, Any]:
        with self._turn:
            process = self._process
            if process is None or process.stdin is None:
                raise ProxyError("the proxy does not run")
            process.stdin.write(orjson.dumps({"do": do, **arguments}, option=orjson.OPT_APPEND_NEWLINE))
            process.stdin.flush()
            return self._answer()

    def _answer(self) -> dict[str, Any]:
        process = self._process
        line = process.stdout.readline() if process is not None and process.stdout is not None else b""
        if not line:
            raise ProxyError("the proxy has ended")
        answer: dict[str, Any] = orjson.loads(line)
        return answer

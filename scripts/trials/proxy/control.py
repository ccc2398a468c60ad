"""What the proxy is told on its standard input, one JSON line each, and what it answers."""

import os
import selectors
from collections.abc import Callable
from typing import Any

import orjson

from scripts.trials.proxy.door import Shut
from scripts.trials.proxy.relay import Relay
from scripts.trials.proxy.snares import Drops, Snare, Then


class Control:
    """Reads commands `{"do": NAME, …}` in the relay's loop; the relay ends with the input."""

    def __init__(self, relay: Relay, commands: int, answers: int) -> None:
        self._relay, self._commands, self._answers = relay, commands, answers
        self._read = b""
        self._known: dict[str, Callable[..., dict[str, Any] | None]] = {
            "break": self._break,
            "count": self._count,
            "cut": self._cut,
            "delay": self._delay,
            "forget": self._forget,
            "freeze": self._freeze,
            "heal": self._heal,
            "refuse": self._refuse,
            "snare": self._snare,
            "trickle": self._trickle,
        }
        relay.selector.register(commands, selectors.EVENT_READ, self._ready)

    def say(self, answer: dict[str, Any]) -> None:
        """One line to whoever commands."""
        os.write(self._answers, orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))

    def _ready(self) -> None:
        data = os.read(self._commands, 65_536)
        if not data:
            self._relay.stop()
        *lines, self._read = (self._read + data).split(b"\n")
        for line in lines:
            command = orjson.loads(line)
            self.say(self._known[command.pop("do")](**command) or {})

    def _delay(self, seconds: float, share: float) -> None:
        self._relay.weather.delay_seconds, self._relay.weather.delay_share = seconds, share
        self._relay.settle()

    def _trickle(self) -> None:
        self._relay.weather.trickles = True
        self._relay.settle()

    def _cut(self, share: float) -> dict[str, int]:
        chosen = self._relay.choose(share)
        for pair in chosen:
            pair.cut()
        return {"connections": len(chosen)}

    def _break(self, share: float) -> dict[str, int]:
        chosen = self._relay.choose(share)
        for pair in chosen:
            pair.breaks = True
            pair.settle()
        return {"connections": len(chosen)}

    def _freeze(self, share: float) -> dict[str, int]:
        if share >= 1.0:
            self._relay.door.shut("ignored")
        chosen = self._relay.choose(share)
        for pair in chosen:
            pair.frozen = True
            pair.settle()
        return {"connections": len(chosen)}

    def _refuse(self, how: Shut) -> None:
        self._relay.door.shut(how)

    def _snare(self, name: str, needle: str, drops: Drops, then: Then, times: int) -> None:
        text = bytes.fromhex(needle)
        self._relay.weather.snares.add(Snare(name=name, needle=text, drops=drops, then=then, left=times))
        self._relay.settle()

    def _forget(self, name: str) -> None:
        self._relay.weather.snares.forget(name)
        for pair in [pair for pair in self._relay.pairs if pair.caught_by == name]:
            pair.cut()
        self._relay.settle()

    def _heal(self) -> None:
        self._relay.heal()

    def _count(self) -> dict[str, Any]:
        relay = self._relay
        counted = {"connections": len(relay.pairs), "opened": relay.opened, "chunks": relay.chunks}
        snares = relay.weather.snares
        return {**counted, "hits": snares.hits(), "caught": snares.caught()}

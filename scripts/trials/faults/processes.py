"""Faults of the system's own processes: killed, told to stop, stopped and woken, at any moment."""

import random
import signal
import time
from collections.abc import Callable
from typing import Final

from scripts.trials.history import Fault
from scripts.trials.processes import Crew, Kept

# Past the 5 s in which a stand-by takes over, and short of what a client waits for.
_STOPPED_SECONDS: Final = (0.3, 9.0)
_AWAY_SECONDS: Final = (0.0, 4.0)


def process_faults(crew: Crew) -> dict[str, Callable[[random.Random], Fault]]:
    """Kind → function that injects, heals, and says what it did."""

    def worker(chance: random.Random) -> Kept:
        return chance.choice(crew.workers)

    def web(_chance: random.Random) -> Kept:
        return crew.web

    def tasks(_chance: random.Random) -> Kept:
        return crew.tasks

    return {
        "worker: SIGKILL": lambda chance: _end(crew, worker(chance), signal.SIGKILL, chance),
        "worker: SIGTERM": lambda chance: _end(crew, worker(chance), signal.SIGTERM, chance),
        "worker: SIGSTOP": lambda chance: _stop(crew, worker(chance), chance),
        "all workers: SIGKILL": lambda chance: _end_all_workers(crew, chance),
        "all workers: SIGSTOP": lambda chance: _stop_all_workers(crew, chance),
        "API process: SIGKILL": lambda chance: _end_api_process(crew, signal.SIGKILL, chance),
        "API process: SIGTERM": lambda chance: _end_api_process(crew, signal.SIGTERM, chance),
        "API process: SIGSTOP": lambda chance: _stop_api_process(crew, chance),
        "gunicorn: SIGKILL": lambda chance: _end(crew, web(chance), signal.SIGKILL, chance),
        "gunicorn: SIGTERM": lambda chance: _end(crew, web(chance), signal.SIGTERM, chance),
        "task worker: SIGKILL": lambda chance: _end(crew, tasks(chance), signal.SIGKILL, chance),
        "task worker: SIGTERM": lambda chance: _end(crew, tasks(chance), signal.SIGTERM, chance),
        "task worker: SIGSTOP": lambda chance: _stop(crew, tasks(chance), chance),
    }


def _end(crew: Crew, kept: Kept, number: signal.Signals, chance: random.Random) -> Fault:
    """Ends a process, which is started again after a while."""
    began, away = time.monotonic(), chance.uniform(*_AWAY_SECONDS)
    crew.keep_away(kept, away)
    pids = crew.pids_of(kept)[:1]
    ended = [pid for pid in pids if crew.send(pid, number)]
    time.sleep(away)
    return _fault(f"{kept.group}: {number.name}", kept.name, began, f"pid {ended}, away {away:.1f} s", ended)


def _end_all_workers(crew: Crew, chance: random.Random) -> Fault:
    began, away = time.monotonic(), chance.uniform(*_AWAY_SECONDS)
    ended = []
    for kept in crew.workers:
        crew.keep_away(kept, away)
        ended += [pid for pid in crew.pids_of(kept)[:1] if crew.send(pid, signal.SIGKILL)]
    time.sleep(away)
    return _fault("all workers: SIGKILL", "workers", began, f"pids {ended}, away {away:.1f} s", ended)


def _end_api_process(crew: Crew, number: signal.Signals, chance: random.Random) -> Fault:
    """One of gunicorn's processes, which gunicorn replaces."""
    began = time.monotonic()
    pids = crew.api_pids()
    ended = [pid for pid in [chance.choice(pids)] if crew.send(pid, number)] if pids else []
    return _fault(f"API process: {number.name}", "web", began, f"pid {ended}", ended)


def _stop(crew: Crew, kept: Kept, chance: random.Random) -> Fault:
    return _hold(crew, f"{kept.group}: SIGSTOP", kept.name, crew.pids_of(kept)[:1], chance)


def _stop_all_workers(crew: Crew, chance: random.Random) -> Fault:
    pids = [pid for kept in crew.workers for pid in crew.pids_of(kept)[:1]]
    return _hold(crew, "all workers: SIGSTOP", "workers", pids, chance)


def _stop_api_process(crew: Crew, chance: random.Random) -> Fault:
    pids = crew.api_pids()
    return _hold(crew, "API process: SIGSTOP", "web", [chance.choice(pids)] if pids else [], chance)


def _hold(crew: Crew, kind: str, target: str, pids: list[int], chance: random.Random) -> Fault:
    """Stops processes where they are, and lets them go on later as if nothing had been."""
    began, seconds = time.monotonic(), chance.uniform(*_STOPPED_SECONDS)
    held = [pid for pid in pids if crew.send(pid, signal.SIGSTOP)]
    time.sleep(seconds)
    for pid in held:
        crew.send(pid, signal.SIGCONT)
    return _fault(kind, target, began, f"pids {held}, {seconds:.1f} s", held)


def _fault(kind: str, target: str, began: float, note: str, hit: list[int]) -> Fault:
    """A fault that hit nobody is told as such: it does not count."""
    return Fault(
        kind=kind, target=target if hit else "", began_at=began, ended_at=time.monotonic(), note=note
    )

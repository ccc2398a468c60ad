"""`python -m worker bookings` decides the line; `python -m worker tasks` does everything else."""

import gc
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.logs import configure_logging
from shared.metrics.sharing import SharedFigures
from shared.settings import Settings, SettingsError, load_settings

GARBAGE_THRESHOLD: Final = 50_000  # objects more than went: several batches' worth


def run_bookings(settings: Settings) -> int:
    """A booking worker until it is told to stop. Any number of them may run."""
    from worker.compose import make_booking_worker  # noqa: PLC0415 - each kind imports only what it runs

    worker = make_booking_worker(settings, socket.gethostname(), os.getpid())
    _collect_rarely()
    with sharing_figures(settings):
        worker.work()
    return 0


def _collect_rarely() -> None:
    """What a batch makes is gone when it is replied, without the collector's help, which by default would look through
    it three times a batch: 4 µs a decision.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def run_tasks(settings: Settings) -> int:
    """The task worker until it is told to stop."""
    from worker.compose import make_task_worker  # noqa: PLC0415

    worker = make_task_worker(settings, socket.gethostname(), os.getpid())
    with sharing_figures(settings):
        worker.work()
    return 0


@contextmanager
def sharing_figures(settings: Settings) -> Iterator[None]:
    """Tells this process' figures to those that answer `/metrics`, for the length of the block."""
    figures = SharedFigures(settings.metrics_folder)
    figures.start()
    try:
        yield
    finally:
        figures.close()


def main(arguments: list[str]) -> int:
    """The process' exit code: 0 after a clean stop, 2 for a wrong call or refused settings."""
    kinds = {"bookings": run_bookings, "tasks": run_tasks}
    if len(arguments) != 1 or arguments[0] not in kinds:
        sys.stderr.write(f"usage: python -m worker {'|'.join(kinds)}\n")
        return 2
    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging(settings.log_level)
    return kinds[arguments[0]](settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

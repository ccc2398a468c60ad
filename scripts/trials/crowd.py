"""The people of a trial as processes of their own: started, and told to stop."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import orjson

from scripts.procfile import PROJECT
from scripts.trials.errors import TrialError
from scripts.trials.people.order import Order

# The last call may wait for its time-out, and then as long for its connection.
_END_SECONDS: Final = 60.0


class Crowd:
    """One process of people."""

    def __init__(self, order: Order, folder: Path) -> None:
        path = folder / f"order-{order.seed}.json"
        path.write_bytes(orjson.dumps(asdict(order)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.trials.people", str(path)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def is_running(self) -> bool:
        """It has not ended."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Lets everybody finish what they are at. Raises TrialError when somebody did not: a history with holes proves
        nothing.
        """
        if self._process.stdin is not None:
            self._process.stdin.close()
        code = self._process.wait(_END_SECONDS)
        if code != 0:
            raise TrialError(f"the people ended with code {code}")

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.wait()


@contextmanager
def opened_crowd(order: Order, folder: Path) -> Iterator[Crowd]:
    """A crowd that ends with the block at the latest."""
    crowd = Crowd(order, folder)
    try:
        yield crowd
    finally:
        crowd.kill()

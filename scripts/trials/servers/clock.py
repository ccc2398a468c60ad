"""A clock on the wall of a server's own, which can jump: a shim in C that is compiled when it is needed."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

from scripts.embedded.account import let_pass

_SOURCE: Final = Path(__file__).with_name("clock_shim.c")
_NANOSECONDS: Final = 1_000_000_000


class NoShimError(Exception):
    """Clocks cannot be moved here; the message says why."""


def build_shim(folder: Path) -> Path:
    """Compiles the shim into `folder`, where every user can read it. Raises NoShimError."""
    compiler = shutil.which("cc")
    if not sys.platform.startswith("linux") or compiler is None:
        raise NoShimError("no Linux" if compiler else "there is no C compiler (cc)")
    library = folder / "clock_shim.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise NoShimError(f"the clock's shim was not compiled: {done.stderr.strip()}")
    library.chmod(0o755)
    let_pass(library)
    return library


class WallClock:
    """What one server believes the time is: the machine's and a shift. Its monotonic clock is the machine's."""

    def __init__(self, shim: Path, name: str) -> None:
        self._shim = shim
        self._shift = shim.with_name(f"{name}.shift")
        self._shift.write_bytes(bytes(8))
        self._shift.chmod(0o644)
        self.shift_seconds = 0.0

    @property
    def environ(self) -> dict[str, str]:
        """What a process must be started with to see this clock."""
        return {"LD_PRELOAD": str(self._shim), "GUICHET_TRIAL_CLOCK": str(self._shift)}

    def shift(self, seconds: float) -> None:
        """So far before or behind the machine's clock from now on; 0 brings it back."""
        file = os.open(self._shift, os.O_WRONLY)
        try:
            os.pwrite(file, struct.pack("=q", round(seconds * _NANOSECONDS)), 0)
        finally:
            os.close(file)
        self.shift_seconds = seconds

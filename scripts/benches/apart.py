"""A function in a Python process of its own that imports only what the function's module does.

multiprocessing's spawn imports the program's main module first, which here is the whole command line: half a second of
CPU, beside what is being measured.
"""

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

from scripts.benches.processes import BenchError
from scripts.procfile import PROJECT

A = TypeVar("A")
R = TypeVar("R")


def run_apart(function: Callable[[A], R], argument: A) -> R:
    """What `function`, of some module's top level, gives for `argument`; raises BenchError with what it said when it
    fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "scripts.benches.apart_child"],
        input=pickle.dumps((function, argument)),
        cwd=PROJECT,
        check=False,
        capture_output=True,
    )
    if done.returncode != 0:
        raise BenchError(f"{function.__name__}: {done.stderr.decode(errors='replace').strip()}")
    found: R = pickle.loads(done.stdout)  # noqa: S301 - from our own process
    return found

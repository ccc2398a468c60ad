"""The other side of `apart.run_apart`: reads a function and its argument, writes what it gives."""

import pickle
import sys

if __name__ == "__main__":
    function, argument = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started us
    sys.stdout.buffer.write(pickle.dumps(function(argument)))

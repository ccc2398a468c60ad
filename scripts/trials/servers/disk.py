"""A small file system of a server's own, which can be full from one moment to the next."""

import os
import subprocess
from pathlib import Path
from typing import Final, Self

# Shrinking to what is used fails when somebody writes meanwhile.
_ATTEMPTS: Final = 50
_SLACK_BYTES: Final = 65_536


class NoDiskError(Exception):
    """No file system can be mounted here; the message says why."""


class SmallDisk:
    """A tmpfs at `folder` until the block ends. It takes memory only for what is written."""

    def __init__(self, folder: Path, *, megabytes: int) -> None:
        self.folder = folder
        self._bytes = megabytes * 1_048_576

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        if problem := self._mount(f"size={self._bytes},mode=0755"):
            raise NoDiskError(f"no file system can be mounted: {problem}")
        return self

    def __exit__(self, *_error: object) -> None:
        # Lazily: a server that dies slowly must not leave a mount behind for ever.
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False, capture_output=True)

    def fill(self) -> None:
        """Leaves hardly a byte free. The file system shrinks, which takes neither time nor memory."""
        problem = ""
        for attempt in range(_ATTEMPTS):
            found = os.statvfs(self.folder)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            if not (problem := self._mount(f"remount,size={used + attempt * _SLACK_BYTES}")):
                return
        raise NoDiskError(f"the disk cannot be filled: {problem}")

    def free(self) -> None:
        """There is room again."""
        if problem := self._mount(f"remount,size={self._bytes}"):
            raise NoDiskError(f"the disk cannot be freed: {problem}")

    def _mount(self, options: str) -> str:
        """What went wrong."""
        command = ["mount", "-t", "tmpfs", "-o", options, "guichet-trial", str(self.folder)]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True)
        except FileNotFoundError:
            return "there is no mount command"
        return done.stderr.strip() or "mount failed" if done.returncode else ""

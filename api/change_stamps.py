"""What has changed, seen at once by all API processes of a machine: some kilobytes of memory that they share.

A stamp is a random number in the slot of an event, of all lists, or of everything. Whoever keeps an answer keeps with
it the stamps from before it was read; when they differ, it is worth nothing. Writing and reading cost less than a
microsecond, and nothing can be lost, late or out of order, as messages can.

Processes of other machines do not see the stamps: there an answer is as old as the cache lets it become.
"""

import logging
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

FILE_NAME: Final = "changes"
# Events whose ids are that far apart share a slot: an answer is read once more than it need be.
_SLOTS: Final = 8_192
_EVERYTHING, _LISTS, _FIRST_EVENT = 0, 1, 2
_BYTES: Final = 8
# A sell-out decides some thousand times a second, and the cache is there for sell-outs. Behind the stamps stands when
# the next is due, for a decision that was told too soon after the last: whoever asks then writes it, in any process.
DECISIONS_APART_SECONDS: Final = 0.05
_DUE: Final = struct.Struct("d")
_SIZE: Final = _SLOTS * (_BYTES + _DUE.size)


class ChangeStamps:
    """One process' view of the stamps; its own alone until `share`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamps = mmap.mmap(-1, _SIZE)
        self._decided_at: dict[int, float] = {}

    def share(self) -> None:
        """Looks at the stamps of the machine's other processes from now on; after the fork."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / FILE_NAME, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                os.ftruncate(descriptor, _SIZE)
                self._stamps = mmap.mmap(descriptor, _SIZE)
            finally:
                os.close(descriptor)
        except OSError as error:
            log.warning("changes are seen by other processes only in time", extra={"reason": str(error)})

    def of_event(self, event_id: int) -> bytes:
        """The stamps that an answer about one event depends on."""
        slot = _slot(event_id)
        if 0.0 < self._due(slot) <= time.monotonic():
            self._set_due(slot, 0.0)  # first: a decision that is told in between is covered, or due again
            self._write(slot)
        return self._read(_EVERYTHING) + self._read(slot)

    def of_lists(self) -> bytes:
        """The stamps that a list depends on."""
        return self._read(_EVERYTHING) + self._read(_LISTS)

    def event_changed(self, event_id: int) -> None:
        """Somebody edited the event. After the commit."""
        self._write(_slot(event_id))
        self._write(_LISTS)

    def event_created(self) -> None:
        """There is a new event. After the commit."""
        self._write(_LISTS)

    def event_decided(self, event_id: int) -> None:
        """Somebody has learned what was decided for the event, and may look whether it shows: at once, or
        DECISIONS_APART_SECONDS after the one before. Lists are left to time: during a sale they would never be kept.
        """
        slot, now = _slot(event_id), time.monotonic()
        due = self._decided_at.get(slot, float("-inf")) + DECISIONS_APART_SECONDS
        if now >= due:
            self._decided_at[slot] = now
            self._write(slot)
        else:
            self._set_due(slot, due)

    def everything_changed(self) -> None:
        """Something that all answers tell of, such as a pause of the line. After the commit."""
        self._write(_EVERYTHING)

    def _due(self, slot: int) -> float:
        due: float = _DUE.unpack_from(self._stamps, _SLOTS * _BYTES + slot * _DUE.size)[0]
        return due

    def _set_due(self, slot: int, due: float) -> None:
        _DUE.pack_into(self._stamps, _SLOTS * _BYTES + slot * _DUE.size, due)

    def _read(self, slot: int) -> bytes:
        return self._stamps[slot * _BYTES : (slot + 1) * _BYTES]

    def _write(self, slot: int) -> None:
        # No counter: two processes that count at once would count one change.
        self._stamps[slot * _BYTES : (slot + 1) * _BYTES] = os.urandom(_BYTES)


def _slot(event_id: int) -> int:
    return _FIRST_EVENT + event_id % (_SLOTS - _FIRST_EVENT)

"""The files in which processes leave their figures: written in one step, added up, folded when their process ended."""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import orjson

from shared.metrics.families import FAMILIES, SERIES_MAX, Labels, Series
from shared.metrics.minutes import MINUTES, is_past

ENDED_SECONDS: Final = 60.0  # a file that was not written for this long belongs to a process that ended

SHARED_FAMILIES: Final = (*FAMILIES, MINUTES)

_ENDED_NAME: Final = "ended.json"
_LOCK_NAME: Final = ".lock"
_DRAFT: Final = ".draft"

# Family name → labels → numbers.
Totals = dict[str, dict[Labels, Series]]


def add_all(totals: Totals, others: Iterable[Totals]) -> None:
    """Adds `others` to `totals`, number by number."""
    for other in others:
        for name, many in other.items():
            mine = totals.setdefault(name, {})
            for labels, series in many.items():
                known = mine.get(labels)
                if known is not None:
                    mine[labels] = [a + b for a, b in zip(known, series, strict=True)]
                elif len(mine) < SERIES_MAX:
                    mine[labels] = series


def write_totals(path: Path, totals: Totals) -> None:
    """Makes the file, and its folder. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_file(path, {"figures": _to_json(totals)})


def read_others(folder: Path, own: Path | None) -> list[Totals]:
    """What every file but `own` says. A few milliseconds for a handful of processes. Raises OSError."""
    if not folder.exists():
        return []
    with _locked(folder, fcntl.LOCK_SH):
        ended = _read_file(folder / _ENDED_NAME)
        paths = [
            path
            for path in folder.glob("*.json")
            if path != own and path.name not in (_ENDED_NAME, *ended.get("files", ()))
        ]
        return [_from_json(ended), *(_from_json(_read_file(path)) for path in paths)]


def find_ended(folder: Path) -> list[Path]:
    """Files that nobody has written for a minute."""
    ended_before = time.time() - ENDED_SECONDS
    ended = []
    for path in folder.glob("*.json"):
        with suppress(FileNotFoundError):
            if path.name != _ENDED_NAME and path.stat().st_mtime < ended_before:
                ended.append(path)
    return ended


def fold(folder: Path, paths: Sequence[Path]) -> None:
    """Adds files to `ended.json` and removes them. It names them first, so that dying between the two steps
    counts nothing twice. Raises OSError.
    """
    if not paths:
        return
    with _locked(folder, fcntl.LOCK_EX):
        ended = _read_file(folder / _ENDED_NAME)
        before = [folder / name for name in ended.get("files", ())]
        totals = _from_json(ended)
        add_all(totals, (_from_json(_read_file(path)) for path in paths if path not in before))
        leaving = {path for path in (*before, *paths) if path.exists()}
        _write_file(
            folder / _ENDED_NAME,
            {"figures": _to_json(totals), "files": sorted(path.name for path in leaving)},
        )
        for path in leaving:
            path.unlink(missing_ok=True)
            path.with_suffix(_DRAFT).unlink(missing_ok=True)


def _to_json(totals: Totals) -> dict[str, Any]:
    return {name: list(many.items()) for name, many in totals.items()}


def _from_json(document: Mapping[str, Any]) -> Totals:
    """What this release knows of a file: other families, labels and bounds are left out, and past minutes."""
    figures = document.get("figures", {})
    totals: Totals = {
        family.name: {
            tuple(labels): series
            for labels, series in figures.get(family.name, ())
            if len(labels) == len(family.labels) and len(series) == family.size
        }
        for family in SHARED_FAMILIES
    }
    now = time.time()
    minutes = totals[MINUTES.name]
    totals[MINUTES.name] = {
        labels: series for labels, series in minutes.items() if not is_past(labels[0], now)
    }
    return totals


def _read_file(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_file(path: Path, document: Mapping[str, Any]) -> None:
    """In one step: whoever reads finds the old file or the new one."""
    draft = path.with_suffix(_DRAFT)
    draft.write_bytes(orjson.dumps(document))
    draft.replace(path)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder / _LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)

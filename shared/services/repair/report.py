"""What a repair did, or would do, and what it cannot do."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

# Items kept word for word, per mend; all are counted.
KEPT_PER_MEND: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """One thing that was not as the ledger says. `items` are job ids, events, keys: what it was done to."""

    what: str
    sentence: str
    count: int
    items: list[str]
    partition: int | None = None

    def document(self) -> dict[str, Any]:
        """The mend as JSON values."""
        return {
            "what": self.what,
            "sentence": self.sentence,
            "partition": self.partition,
            "count": self.count,
            "items": self.items,
        }


@dataclass(slots=True)
class Report:
    """Every mend in the order it was made; `beyond` is job id → why nothing can bring it back."""

    dry_run: bool
    tell: Callable[[Mend], None]
    mends: list[Mend] = field(default_factory=list)
    beyond: dict[str, str] = field(default_factory=dict)

    def note(
        self, what: str, sentence: str, items: Collection[object], *, partition: int | None = None
    ) -> None:
        """Adds a mend and tells it, unless there is nothing in it."""
        if not items:
            return
        kept = [printable(str(item)) for item in list(items)[:KEPT_PER_MEND]]
        mend = Mend(what=what, sentence=sentence, count=len(items), items=kept, partition=partition)
        self.mends.append(mend)
        self.tell(mend)

    def document(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "dry_run": self.dry_run,
            "mends": [mend.document() for mend in self.mends],
            "beyond_repair": [{"job_id": printable(job), "why": why} for job, why in self.beyond.items()],
        }


def printable(text: str) -> str:
    """An id may be any bytes: those that are no text are shown with backslashes."""
    return text.encode(errors="backslashreplace").decode()

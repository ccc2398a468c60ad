"""What this worker has told Redis and not yet heard of, while it works with PostgreSQL.

While the line is deep a worker would wait for its two servers most of the time, one after the other. Instead, while one
batch is being decided and written, Redis works off the reply of the one before and the take of the one behind
(docs/adr/0049-the-next-take-travels-with-the-reply.md).

Nothing new has to be recovered: in flight stand the batch in hand and the one behind it, in order, and what is in
flight is looked at again by whoever comes next. Redis runs what is sent here in the order in which it is sent. A take
leaves before it is known whether the batch that it is to stand behind is a full one; unless exactly a batch is in
flight then, it takes nothing.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.line.client import Argument, Conversation, ScriptRunner
from shared.line.reply import check_reply
from shared.line.take import Flying, Taken, read_taken_ahead

Command = tuple[list[str], list[Argument]]


@dataclass(frozen=True, slots=True)
class Turn:
    """How long one partition is served: while it `may_go_on`, which is told whether any of the `others` waits."""

    may_go_on: Callable[[bool], bool]
    others: Sequence[int] = ()  # partitions that the same worker serves


ONE_BATCH: Final = Turn(lambda _: False)


class Ahead:
    """One run of batches of one partition. What reads answers raises OutdatedTokenError and what the client raises."""

    def __init__(self, runner: ScriptRunner, turn: Turn) -> None:
        self.turn = turn
        self._conversation: Conversation = runner.converse()
        self._due: deque[Callable[[Sequence[Any]], object]] = deque()  # what makes something of each answer
        self._asked = 0  # batches that were asked for, and not fetched
        self.next: Taken | None = None  # was fetched, and not looked at
        self.has_begun = False
        self._since = time.perf_counter()

    @property
    def takes(self) -> bool:
        """A batch was asked for, and not fetched."""
        return self._asked > 0

    def take(self, command: Command) -> None:
        """Asks for another batch."""
        self._conversation.send("take", *command)
        self._due.append(read_taken_ahead)
        self._asked += 1
        self.has_begun = True

    def reply(self, command: Command) -> None:
        """Replies a batch that is committed."""
        self._conversation.send("reply", *command)
        self._due.append(check_reply)

    def fetch(self) -> Taken | Flying | str:
        """The first batch that was asked for, or why there is none."""
        self._asked -= 1
        while True:
            made: Taken | Flying | str | None = self._read()
            if made is not None:
                return made

    def fetch_next(self) -> None:
        """Reads the first batch that was asked for. When there is none, nothing is under way any more: what was asked
        for behind it cannot be there, or stays in flight.
        """
        found = self.fetch()
        if isinstance(found, Taken):
            self.next = found
        else:
            self.settle()

    def settle(self) -> None:
        """Returns when Redis has done all of it."""
        while self._due:
            self._read()
        self._asked = 0

    def lap(self) -> float:
        """Seconds since this was asked before, or since the run began."""
        since, self._since = self._since, time.perf_counter()
        return self._since - since

    def close(self) -> None:
        """Waits for what is under way, whatever comes of it: what is done next must not overtake it."""
        self._conversation.close()

    def _read(self) -> Any:  # noqa: ANN401 - what was taken, None for a reply
        make = self._due.popleft()
        return make(self._conversation.read())

"""What this worker has told Redis and not yet heard of, while it works with PostgreSQL.

While the line is deep a worker would wait for its two servers most of the time, one after the other. Instead, while one
batch is being decided and written, Redis works off the reply of the one before and the take of the one behind
(docs/adr/0049-the-next-take-travels-with-the-reply.md).

Nothing new has to be recovered: in flight stand the batch in hand and the one behind it, in order, and what is in
flight is looked at again by whoever comes next. Redis runs what is sent here in the order in which it is sent, so a
take finds exactly the batch in flight that its caller has in hand, or somebody else's doing.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.line.client import Argument, Conversation, ScriptRunner
from shared.line.reply import check_reply
from shared.line.take import Taken, read_taken

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
        self.takes = False  # the next batch was asked for, and not fetched
        self.next: Taken | None = None  # it was fetched, and not looked at
        self.has_begun = False

    def take(self, command: Command) -> None:
        """Asks for the next batch."""
        self._conversation.send("take", *command)
        self._due.append(read_taken)
        self.takes = self.has_begun = True

    def reply(self, command: Command) -> None:
        """Replies a batch that is committed."""
        self._conversation.send("reply", *command)
        self._due.append(check_reply)

    def fetch(self) -> Taken | str:
        """The batch that was asked for, or why there is none."""
        self.takes = False
        while True:
            made: Taken | str | None = self._read()
            if made is not None:
                return made

    def fetch_next(self) -> None:
        """Reads the next batch, when it was asked for and there is one."""
        if self.takes and isinstance(found := self.fetch(), Taken):
            self.next = found

    def settle(self) -> None:
        """Returns when Redis has done all of it. For who has fetched what was asked for."""
        while self._due:
            self._read()

    def close(self) -> None:
        """Waits for what is under way, whatever comes of it: what is done next must not overtake it."""
        self._conversation.close()

    def _read(self) -> Any:  # noqa: ANN401 - what was taken, None for a reply
        make = self._due.popleft()
        return make(self._conversation.read())

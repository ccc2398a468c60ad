"""Why an admin did something: one sentence that other people read, clients among them."""

from typing import Final

from shared.errors import InvalidInputError

REASON_CHARACTERS_MAX: Final = 200


def check_reason(reason: str | None) -> None:
    """Refuses, with InvalidInputError, a reason that is there and empty, too long, or not to be stored."""
    if reason is None:
        return
    storable = "\x00" not in reason and not any("\ud800" <= character <= "\udfff" for character in reason)
    if not storable or not 1 <= len(reason.strip()) <= REASON_CHARACTERS_MAX:
        detail = f"Must have 1 to {REASON_CHARACTERS_MAX} characters, all of which can be stored."
        raise InvalidInputError([{"pointer": "#/reason", "detail": detail}])

"""The message about a batch of decisions: each job's id and its result, as the reply script says them."""

import binascii
from typing import Any

import orjson


def read_message(message: bytes) -> dict[bytes, bytes]:
    """Each job's id and its result for `read_result`, in order of decision. A worker of the release before names the
    ids alone: their results are empty.
    """
    parts = message.split(b",")
    if len(parts) % 2 or b"-" in parts[1]:  # base64 has no hyphens, an id has four
        return dict.fromkeys(parts, b"")
    return dict(zip(parts[::2], parts[1::2], strict=True))


def read_result(text: bytes) -> dict[str, Any]:
    """The worker's result document, out of a message or out of RQ's result stream; ValueError when it is none."""
    result = orjson.loads(binascii.a2b_base64(text))
    if not isinstance(result, dict):
        raise ValueError("a result is an object")  # noqa: TRY004 - as for what is no JSON
    return result

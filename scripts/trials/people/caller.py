"""One HTTP call of a trial's client, and what is written down of it."""

import re
import time
from typing import Any, Final

from scripts.load.client import Answer, Connection, TransportError
from scripts.trials.history import KEPT_FIELDS, Call

# What an answer must never show. Looked for in answers from 400 on: the others are documents of our own making.
_LEAKS: Final = re.compile(
    rb'Traceback \(most|File \\?"/|psycopg2|sqlalchemy|site-packages|redis\.exceptions|user_script:'
)
_ERRORS_FROM: Final = 400
_LEAK_SHOWN: Final = 80


def make_call(
    connection: Connection,
    call: Call,
    method: str,
    path: str,
    *,
    token: str,
    document: object = None,
    prefer: str = "",
) -> dict[str, Any]:
    """Sends one request, notes in `call` what came back, and returns the answer's document (empty: none)."""
    headers = {"Authorization": f"Bearer {token}"}
    if call.key is not None:
        headers["Idempotency-Key"] = call.key
    if prefer:
        headers["Prefer"] = prefer
    call.sent_at = time.monotonic()
    try:
        answer = connection.request(method, path, headers=headers, document=document)
    except TransportError as error:
        call.answered_at, call.error = time.monotonic(), str(error)
        return {}
    call.answered_at = time.monotonic()
    return _note(call, answer)


def _note(call: Call, answer: Answer) -> dict[str, Any]:
    call.status = answer.status
    if answer.status >= _ERRORS_FROM and (found := _LEAKS.search(answer.body)):
        call.leak = answer.body[found.start() : found.start() + _LEAK_SHOWN].decode(errors="replace")
    document = answer.json()
    if not isinstance(document, dict):
        return {}
    is_problem = "problem+json" in answer.headers.get("content-type", "")
    if is_problem:
        call.code = str(document.get("code", ""))
    job = document.get("job")
    shown: dict[str, Any] = job if isinstance(job, dict) else document
    # A problem's `status` is HTTP's; only the status document within it says how the job stands.
    kept = ("job_id",) if is_problem and shown is document else KEPT_FIELDS
    if "job_id" in shown:
        call.said = {name: shown[name] for name in kept if name in shown}
        booking = shown.get("booking")
        call.booking_id = booking.get("id") if isinstance(booking, dict) else None
    return document

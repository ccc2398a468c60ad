"""No decision without a request: every line of a ledger was asked for by a client, or by a change that is on record."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from scripts.trials.evidence import Evidence
from scripts.trials.history import Call
from scripts.trials.recount import SLICES
from scripts.trials.sources.tables import Decision, OfferRow

ASKED: Final = frozenset(
    {"book", "cancel", "join_waitlist", "leave_waitlist", "accept_offer", "decline_offer"}
)
_SLICED_BY: Final = {"call_off_slice": "call_off", "end_waitlist_slice": "end_waitlist"}


def asked_for(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Finds the origin of each row. One that nobody was told of must fit a call whose answer was lost."""
    controls = {control.job_id: control for control in evidence.tables.controls}
    offers = {offer.id: offer for offer in evidence.tables.offers}
    unexplained: list[Decision] = []
    for rows in evidence.tables.ledgers.values():
        last_of_kind = {row.kind: row.number for row in rows}
        for row in rows:
            seen["ledger rows"] += 1
            control = controls.get(row.job_id)
            if control is not None and (control.kind, control.event_id) == (row.kind, row.event_id):
                continue
            if row.kind in ASKED:
                unexplained += [row] * (row.job_id not in evidence.named)
            elif not _is_on_record(evidence, row, offers, last_of_kind):
                yield f"event {row.event_id}, decision {row.number}: {row.kind} {row.job_id}, which nobody asked for"
    yield from _match(evidence.calls, unexplained, seen)


def _is_on_record(
    evidence: Evidence, row: Decision, offers: dict[str, OfferRow], last_of_kind: dict[str, int]
) -> bool:
    if row.kind == "offer":
        return row.job_id in offers
    if row.kind in SLICES:  # the request's own row is the last
        return last_of_kind.get(_SLICED_BY[row.kind], 0) > row.number
    return row.kind in ("event_set", "drain") and row.job_id in evidence.tables.audited


def _match(calls: list[Call], rows: list[Decision], seen: Counter[str]) -> Iterator[str]:
    """Each row takes one call of its user and kind that got no usable answer, of one key only one."""
    spare: defaultdict[tuple[int, str], list[Call]] = defaultdict(list)
    keys: set[tuple[int, str]] = set()
    for call in calls:
        unanswered = call.status == 0 or call.status >= 500
        if call.action in ASKED and unanswered and not call.said.get("job_id"):
            if call.key is not None and (call.user_id, call.key) in keys:
                continue
            keys |= {(call.user_id, call.key)} if call.key is not None else set()
            spare[call.user_id, call.action].append(call)
    seen["calls without an answer"] += sum(map(len, spare.values()))
    for row in rows:
        seen["decisions that nobody was told of"] += 1
        candidates = spare[row.user_id or 0, row.kind]
        found = next((call for call in candidates if _may_be(call, row)), None)
        if found is None:
            yield f"event {row.event_id}, decision {row.number}: {row.kind} of user {row.user_id}, who never asked"
        else:
            candidates.remove(found)


def _may_be(call: Call, row: Decision) -> bool:
    about = row.facts.get("offer_id") if row.kind.endswith("_offer") else row.booking_id
    same = call.event_id in (None, row.event_id) and call.subject in (None, about)
    asked = row.kind in ("book", "join_waitlist") and call.tickets is not None
    return same and (not asked or call.tickets == row.tickets)

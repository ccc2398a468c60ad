"""First come, first served: numbers and arrivals run on without a gap, and who was answered before another one asked is
decided before them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from scripts.trials.evidence import Evidence
from scripts.trials.history import Call


def in_order(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Walks every ledger, then every pair of calls that did not overlap."""
    for event_id, rows in evidence.tables.ledgers.items():
        number = arrival = 0
        instant = ""
        for row in rows:
            seen["ledger rows"] += 1
            if row.number != number + 1:
                yield f"event {event_id}: decision {row.number} follows {number}"
            if row.arrival is not None and row.arrival != arrival + 1:
                yield f"event {event_id}: decision {row.number} has arrival {row.arrival}, after {arrival}"
            if row.decided_at < instant:
                yield f"event {event_id}: decision {row.number} was made before the one before it"
            number, arrival = row.number, arrival if row.arrival is None else row.arrival
            instant = row.decided_at
    yield from _told(evidence, seen)
    yield from _overtaken(evidence, seen)


def _told(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """What a client was told is its number; another one only after a declared loss, and then it was counted."""
    others: defaultdict[int, set[str]] = defaultdict(set)
    for job_id, call, said in evidence.documents():
        row = evidence.decided.get(job_id)
        if row is None or said.get("arrival") in (None, row.arrival):
            continue
        others[row.event_id].add(job_id)
        if not evidence.after_a_loss(call) and row.event_id not in evidence.shaken:
            yield f"job {job_id}: was told arrival {said['arrival']}, decided as {row.arrival}"
    for event in evidence.tables.events.values():
        seen["arrivals given out again"] += event.arrivals_reissued
        if event.arrivals_reissued and not evidence.losses and event.id not in evidence.shaken:
            yield f"event {event.id}: {event.arrivals_reissued} arrivals were given out again, and nothing was lost"
        if len(others[event.id]) > event.arrivals_reissued:
            yield (
                f"event {event.id}: {len(others[event.id])} were told another number than theirs, and"
                f" {event.arrivals_reissued} are counted"
            )


def _overtaken(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """By the numbers of the ledger, so that it holds whatever was lost."""
    of_event: defaultdict[int, list[tuple[int, Call, Call]]] = defaultdict(list)
    for job_id, calls in evidence.shown.items():
        row = evidence.decided.get(job_id)
        asked = [call for call in calls if call.action not in {"status", "withdraw"}]
        if row is not None and row.arrival is not None and asked and job_id not in evidence.touched:
            first = min(asked, key=lambda call: call.answered_at)
            of_event[row.event_id].append((row.arrival, first, _sent_first(evidence, first)))
    for event_id, requests in of_event.items():
        seen["requests compared"] += len(requests)
        answered = sorted(requests, key=lambda request: request[1].answered_at)
        position, latest = 0, 0
        for arrival, _, sent in sorted(requests, key=lambda request: request[2].sent_at):
            while position < len(answered) and answered[position][1].answered_at < sent.sent_at:
                latest = max(latest, answered[position][0])
                position += 1
            if latest > arrival:
                yield f"event {event_id}: arrival {arrival} was sent after {latest} had been answered"


def _sent_first(evidence: Evidence, call: Call) -> Call:
    """Under a key the request may have come in with an earlier call, whose answer was lost."""
    if call.key is None:
        return call
    return evidence.first_under_key.get((call.user_id, call.key), call)

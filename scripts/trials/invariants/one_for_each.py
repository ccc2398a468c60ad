"""One job and one booking for each Idempotency-Key of a user, one booking for each job, one live booking for each user
and event.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from scripts.trials.evidence import Evidence


def one_for_each(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Counts what came of each key, and bookings three times: by job, by event and user, by key."""
    bookings = evidence.tables.bookings
    seen["bookings"] += len(bookings)
    for job_id, count in Counter(booking.job_id for booking in bookings).items():
        if count > 1:
            yield f"job {job_id} made {count} bookings"
    live = Counter(
        (booking.event_id, booking.user_id) for booking in bookings if booking.status != "cancelled"
    )
    for (event_id, user_id), count in live.items():
        if count > 1:
            yield f"event {event_id}: user {user_id} has {count} live bookings"
    booked = Counter(booking.job_id for booking in bookings)
    for (user_id, key), jobs in _jobs_of_keys(evidence).items():
        seen["keys"] += 1
        kept = {job_id for job_id in jobs if not evidence.may_be_lost(job_id)}
        if len(jobs) > 1 and len(kept) <= 1:
            seen["keys answered anew after a declared loss"] += 1
        elif len(jobs) > 1:
            yield f"user {user_id}, key {key}: jobs {', '.join(sorted(jobs))}"
        if (made := sum(booked[job_id] for job_id in kept)) > 1:
            yield f"user {user_id}, key {key}: {made} bookings"


def _jobs_of_keys(evidence: Evidence) -> dict[tuple[int, str], set[str]]:
    """(user, key) → the jobs that were accepted under it: those that were shown, and of those that only may have been
    accepted the ones that are decided. A key that is refused (422) names none.
    """
    jobs: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
    for call in evidence.calls:
        job_id = call.said.get("job_id")
        if call.key is not None and job_id and (call.status < 500 or job_id in evidence.decided):
            jobs[call.user_id, call.key].add(job_id)
    return jobs

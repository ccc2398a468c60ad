"""Every Redis key, in one place. `rq:` keys are RQ 2.12's own, so that stock RQ tools can read the line."""

from typing import Final

from shared.domain.partitions import queue_name

INSTALLATION: Final = "guichet:installation"  # "<installation id>:<partitions>"
DECIDED_CHANNEL: Final = "guichet:decided"  # messages: see shared/line/messages.py
LIVE_WORKERS: Final = "guichet:workers"  # sorted set: booking worker → when it was last heard of
METRICS: Final = "guichet:metrics"  # hash: what the line counts about itself, see shared/line/counters.py
LEDGER_WATCH: Final = "guichet:ledger_watch"  # hash: how far `watch_ledger` has read each event's ledger
RQ_QUEUES: Final = "rq:queues"
RQ_SUSPENDED: Final = "rq:suspended"
TASK_QUEUE: Final = "tasks"
TASKS: Final = f"rq:queue:{TASK_QUEUE}"
FAILED_TASKS: Final = f"rq:failed:{TASK_QUEUE}"
JOB_PREFIX: Final = "rq:job:"
RESULT_PREFIX: Final = "rq:results:"
LINE_PREFIX: Final = "guichet:line:"
UNDECIDED_PREFIX: Final = "guichet:undecided:"

# RQ's started registry holds "<job id>:<execution id>". A constant in the second place: with the worker's name
# in it, a successor that recovers the job would leave a ghost behind.
EXECUTION_SUFFIX: Final = ":line"


def job(job_id: str) -> str:
    """The job's hash: RQ's fields and `v`, `arrival`, `seq`, `withdrawn`."""
    return f"{JOB_PREFIX}{job_id}"


def result(job_id: str) -> str:
    """RQ's result stream of a job."""
    return f"{RESULT_PREFIX}{job_id}"


def dependents(job_id: str) -> str:
    """RQ's set of jobs that wait for this one."""
    return f"{JOB_PREFIX}{job_id}:dependents"


def worker(name: str) -> str:
    """A worker's hash: RQ's fields and, of a booking worker, `partitions`, `decided`, `decided_per_second`."""
    return f"rq:worker:{name}"


def queue(partition: int) -> str:
    """The list of waiting job ids, oldest first."""
    return f"rq:queue:{queue_name(partition)}"


def started(partition: int) -> str:
    """RQ's registry of jobs being worked on."""
    return f"rq:wip:{queue_name(partition)}"


def finished(partition: int) -> str:
    """RQ's registry of finished jobs, by expiry."""
    return f"rq:finished:{queue_name(partition)}"


def failed(partition: int) -> str:
    """RQ's registry of failed jobs, by expiry."""
    return f"rq:failed:{queue_name(partition)}"


def in_flight(partition: int) -> str:
    """The list of taken, not yet replied job ids, in order of arrival."""
    return f"{LINE_PREFIX}{partition}:in_flight"


def claim_token(partition: int) -> str:
    """The fencing token of the partition's holder: take, reply and set-aside do nothing under another one."""
    return f"{LINE_PREFIX}{partition}:token"


def suspects(partition: int) -> str:
    """Instances of workers that took what is in flight and have not been heard of since."""
    return f"{LINE_PREFIX}{partition}:suspects"


def alone(partition: int) -> str:
    """The job that is being decided alone, because two processes ended with its batch in flight."""
    return f"{LINE_PREFIX}{partition}:alone"


def arrivals(partition: int) -> str:
    """Hash event → the last arrival number given out."""
    return f"{LINE_PREFIX}{partition}:arrivals"


def decided(partition: int) -> str:
    """Hash event → the last arrival number decided."""
    return f"{LINE_PREFIX}{partition}:decided"


def counters(partition: int) -> str:
    """Hash: `accepted` and `decided` running numbers, `rate` measured decisions a second."""
    return f"{LINE_PREFIX}{partition}:counters"


def bell(partition: int) -> str:
    """A list that wakes the idle holder: one element when the line was empty before an arrival."""
    return f"{LINE_PREFIX}{partition}:bell"


def lost(partition: int) -> str:
    """The list of ids set aside because their job hash was unreadable."""
    return f"{LINE_PREFIX}{partition}:lost"


def schedule_turn(entry_name: str) -> str:
    """Held by the task worker that runs a schedule entry's current turn."""
    return f"guichet:schedule:{entry_name}"


def trouble(partition: int) -> str:
    """Why the partition's line stands, said by its holder every second while it does; gone after five."""
    return f"{LINE_PREFIX}{partition}:trouble"


# Few enough that Redis keeps their undecided jobs in one compact piece (up to 128 members by its defaults), enough
# that a key's own 130 bytes count for little. The reply script and `set_aside` know it too.
USERS_TOGETHER: Final = 16


def undecided_by_user(user_id: int) -> str:
    """Sorted set: the undecided job ids of sixteen neighbouring users, each with its user's id as the score."""
    return f"{UNDECIDED_PREFIX}{user_id // USERS_TOGETHER}"


def undecided_of_user_before(user_id: int | str) -> str:
    """The set in which the release before keeps a user's undecided job ids; gone once they are decided."""
    return f"guichet:user:{user_id}:undecided"


def rate_of_user(user_id: int | str) -> str:
    """The user's token bucket on the booking path: the microsecond at which it is full again."""
    return f"guichet:rate:{user_id}"


def rates(installation_id: str) -> str:
    """A channel: API processes tell each other what clients used. Channels know no database numbers, hence the id."""
    return f"guichet:rates:{installation_id}"


def idempotency(user_id: int | str, key_hash: str) -> str:
    """What an Idempotency-Key of this user stands for: 16 bytes of fingerprint, then the job id's 16. `key_hash` is
    hex; 128 bits of it tell a user's keys of a day apart, and more would weigh more than what they stand for.
    """
    return f"guichet:key:{user_id}:{key_hash[:32]}"


def idempotency_before(user_id: int | str, key_hash: str) -> str:
    """The record of the release before, `<fingerprint>:<job id>` as text; read for the day that it lives."""
    return f"guichet:idem:{user_id}:{key_hash}"


def revoked(subject: str) -> str:
    """Present while a subject (`family:<uuid>`, `user:<id>`) has tokens that no longer count."""
    return f"guichet:revoked:{subject}"

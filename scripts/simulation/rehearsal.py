"""The sale held for real, on servers of its own: what each person met, and what else wanted the cores."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from redis import Redis
from sqlalchemy import text

from scripts.benches.figures import Measurement
from scripts.benches.installation import Installation
from scripts.benches.processes import CpuMeter, Process
from scripts.simulation.arrivals import press_times
from scripts.simulation.open_load import CONNECTIONS, Answers, Call, send_apart
from scripts.simulation.others import Others, Surroundings
from scripts.simulation.people import CONFIRMED, DOOR, NOT_ENOUGH_LEFT, SOLD_OUT, People
from scripts.simulation.scenario import Scenario
from shared.db import transaction
from shared.line import keys
from shared.line.messages import read_message

PEOPLE_MAX: Final = 20_000
SECONDS_MAX: Final = 60.0
_WARM_UP: Final = 64
_DECIDE_SECONDS: Final = 300.0

_CLAIMS: Final = """
select count(*), count(distinct pid), coalesce(max(held), 0)
from (select pid, count(*) over (partition by pid) held from pg_locks where locktype = 'advisory' and granted) c
"""
_LEDGER: Final = """
select user_id, job_id::text, extract(epoch from accepted_at)::float8, outcome, reason
from decisions where event_id = any(:event_ids) and arrival is not null
"""
_COUNT: Final = "select coalesce(sum(last_arrival), 0) from events where id = any(:event_ids)"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What people met; `cpu`: seconds of CPU by resource; and what else went on."""

    people: People
    seats_left: int
    cpu: dict[str, float]
    surroundings: Surroundings


def fitted(scenario: Scenario) -> Scenario:
    """The sale as it can be held here: at the same pace, but shorter where it is too large; nobody looks, polls, asks
    again.
    """
    factor = min(1.0, PEOPLE_MAX / scenario.people, SECONDS_MAX / scenario.seconds)
    return replace(
        scenario,
        people=max(round(scenario.people * factor), 1),
        seats=max(round(scenario.seats * factor), 1),
        seconds=scenario.seconds * factor,
        retries=0,
        looks=0,
        polls=False,
        client=True,
        connections=CONNECTIONS,
        event_undecided_max=10_000_000,
    )


def rehearse(installation: Installation, scenario: Scenario, measurement: Measurement) -> Rehearsal:
    """Holds the sale. Notes in `measurement` whoever got no answer or no decision."""
    folder = installation.laboratory.folder
    tokens = installation.make_tokens(scenario.people)
    user_ids = installation.make_users(scenario.people)
    with ExitStack() as stack:
        web = stack.enter_context(
            installation.web(web_processes=scenario.api, sold_out_door=scenario.sold_out_door)
        )
        workers = [
            stack.enter_context(installation.worker(batch_max=scenario.batch_max))
            for _ in range(scenario.workers)
        ]
        _wait_for_claims(installation, workers)
        web.warm_up(installation.make_event(_WARM_UP), tokens[:_WARM_UP])
        event_ids = [installation.make_event(max(seats, 1)) for seats in scenario.seats_by_event]
        calls = _calls(scenario, event_ids, tokens)
        dues = press_times(scenario.profile, scenario.people, seconds=scenario.seconds, seed=scenario.seed)
        groups = {
            "API": [web.process.pid],
            "worker": [worker.pid for worker in workers],
            "Redis": installation.redis_server.pids,
            "PostgreSQL": installation.laboratory.postgres.pids,
        }
        own, meter = [pid for pids in groups.values() for pid in pids], CpuMeter(groups)
        with _told_times(installation) as told, Others(own, folder) as others:
            answers = send_apart(web.port, calls, dues)
            accepted = answers.statuses.count(202)
            workers[0].wait_until(
                lambda: _count_decided(installation, event_ids) >= accepted,
                what=f"{accepted:,} decisions",
                seconds=_DECIDE_SECONDS,
            )
            cpu = {name: micros / 1e6 for name, micros in meter.micros_each(1).items()}
            time.sleep(0.2)  # the last message may still be on its way
        people = _people(installation, event_ids, user_ids, dues, answers, told, measurement)
    booked = sum(people.ends[i] == CONFIRMED and calls[i].tickets for i in range(len(calls)))
    return Rehearsal(people, scenario.seats - booked, cpu, others.found(answers.started_at))


def _calls(scenario: Scenario, event_ids: list[int], tokens: list[str]) -> list[Call]:
    return [
        Call(
            path=f"/api/bookings/{event_ids[event]}/book",
            token=token,
            key=secrets.token_hex(16),
            tickets=tickets,
        )
        for event, tickets, token in zip(
            scenario.events_of_people(), scenario.tickets_of_people(), tokens, strict=True
        )
    ]


def _wait_for_claims(installation: Installation, workers: list[Process]) -> None:
    """Until every partition is held and nobody holds more than a share."""
    partitions = installation.settings.partitions
    share = -(-partitions // len(workers))

    def settled() -> bool:
        with transaction(installation.engine) as session:
            held, holders, most = session.execute(text(_CLAIMS)).one()
        return bool(held == partitions and holders == min(len(workers), partitions) and most <= share)

    workers[0].wait_until(settled, what="claims")


def _count_decided(installation: Installation, event_ids: list[int]) -> int:
    with transaction(installation.engine) as session:
        return int(session.execute(text(_COUNT), {"event_ids": event_ids}).scalar_one())


def _people(
    installation: Installation,
    event_ids: list[int],
    user_ids: list[int],
    dues: list[float],
    answers: Answers,
    told: dict[str, float],
    measurement: Measurement,
) -> People:
    people = People(dues)
    people.answered = answers.answered
    number = {user_id: index for index, user_id in enumerate(user_ids)}
    with transaction(installation.engine) as session:
        rows = session.execute(text(_LEDGER), {"event_ids": event_ids}).all()
    for user_id, job_id, accepted_at, outcome, reason in rows:
        person = number[user_id]
        people.accepted[person] = accepted_at - answers.started_at
        people.ends[person] = CONFIRMED if outcome == "confirmed" else _END_OF_REASON.get(reason, "")
        if job_id in told:
            people.decided[person] = told[job_id] - answers.started_at
        else:
            measurement.violations.append(f"job {job_id} was decided and nobody was told")
    for person, status in enumerate(answers.statuses):
        if status == 409 and not people.ends[person]:
            people.ends[person] = DOOR
        elif status != 202 or not people.ends[person]:
            measurement.violations.append(
                f"person {person}: answer {status}, end {people.ends[person] or 'none'}"
            )
    return people


_END_OF_REASON: Final = {"not_enough_left": NOT_ENOUGH_LEFT, "sold_out": SOLD_OUT}


@contextmanager
def _told_times(installation: Installation) -> Iterator[dict[str, float]]:
    """Job id → when the message came that it is decided, by the wall clock."""
    found: dict[str, float] = {}
    stop = threading.Event()
    redis = Redis.from_url(installation.settings.redis_url)
    subscription = redis.pubsub(ignore_subscribe_messages=True)
    subscription.subscribe(keys.DECIDED_CHANNEL)

    def listen() -> None:
        while not stop.is_set():
            message = subscription.get_message(timeout=0.1)
            if message is not None:
                now = time.time()
                found.update((job_id.decode(), now) for job_id in read_message(message["data"]))

    with _thread(listen, stop):
        yield found
    subscription.close()
    redis.close()


@contextmanager
def _thread(run: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

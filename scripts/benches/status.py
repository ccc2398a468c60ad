"""Following one's request: status polls of those that wait, are in a worker's hand, and are decided."""

import http.client
import itertools
from contextlib import closing

from scripts.benches.figures import Figure, Measurement, median, percentile, spread
from scripts.benches.http_load import Outcome, get_request
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.processes import BenchError, CpuMeter, cpu_note
from scripts.benches.web import Web
from shared.line import keys

BAR_PER_SECOND = 4_000
BAR_UNCHANGED_PER_SECOND = 5_000
CONNECTIONS = 64
POLLS_PER_CLIENT = 4  # each client has a token and a request of its own


def measure(laboratory: Laboratory) -> Measurement:
    """Everybody's own request again and again, with and without the ETag of the answer before, against a route that
    does nothing; a worker decides them between the two halves.
    """
    bench = _Bench(laboratory)
    measurement = Measurement()
    with laboratory.installation(measurement) as installation:
        clients = max(laboratory.sizes.status // POLLS_PER_CLIENT, CONNECTIONS)
        jobs = _stand_in_line(installation, clients)
        with installation.web() as web, installation.web("scripts.benches.noop_app:app") as noop:
            for state in ("waiting", "in hand", "decided"):
                if state == "in hand":
                    _set_status(installation, [job for _, job in jobs], "started")
                if state == "decided":
                    _set_status(installation, [job for _, job in jobs], "queued")
                    installation.decide_rest()
                bench.poll(state, installation, web, noop, jobs)
    measurement.figures = bench.figures()
    return measurement


class _Bench:
    """The rounds, and what they found."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._sizes, self._postgres = laboratory.sizes, laboratory.postgres
        self._noops: dict[str, list[Outcome]] = {}
        self._polls: dict[str, list[Outcome]] = {}
        self._cpu: dict[str, list[dict[str, float]]] = {}

    def poll(
        self, state: str, installation: Installation, web: Web, noop: Web, jobs: list[tuple[str, str]]
    ) -> None:
        """As many polls as the sizes say, and as many of nothing, in turns."""
        count = self._sizes.status
        plain = [_poll(web.port, token, job) for token, job in jobs]
        tags = _etags(web.port, jobs)
        tagged = [
            _poll(web.port, token, job, f"If-None-Match: {tag}")
            for (token, job), tag in zip(jobs, tags, strict=True)
        ]
        requests = {"noop": [get_request(noop.port, "/noop")], state: plain, f"{state}, unchanged": tagged}
        for _ in range(self._sizes.rounds):
            for name, prepared in requests.items():
                server = noop if name == "noop" else web
                meter = CpuMeter(
                    {
                        "API": server.process.pids,
                        "Redis": installation.redis_server.pids,
                        "PostgreSQL": self._postgres.pids,
                    }
                )
                outcome = server.load(
                    list(itertools.islice(itertools.cycle(prepared), count)),
                    connections=CONNECTIONS,
                )
                if prepared is tagged and outcome.statuses[304] != count:
                    raise BenchError(f"answers {dict(outcome.statuses)} to known ETags")
                kept = self._noops if name == "noop" else self._polls
                kept.setdefault(state if name == "noop" else name, []).append(outcome)
                self._cpu.setdefault(f"{state} noop" if name == "noop" else name, []).append(
                    meter.micros_each(count)
                )

    def figures(self) -> list[Figure]:
        """A row for each state, with and without ETag; what a poll costs as a multiple of nothing."""
        found = []
        for name, outcomes in self._polls.items():
            state, _, unchanged = name.partition(", ")
            rates = [outcome.rate for outcome in outcomes]
            noops = [outcome.rate for outcome in self._noops[state]]
            times = [rate / nothing for rate, nothing in zip(rates, noops, strict=True)]
            latencies = [seconds * 1000 for outcome in outcomes for seconds in outcome.latencies]
            bar = BAR_UNCHANGED_PER_SECOND if unchanged else BAR_PER_SECOND
            found.append(
                Figure(
                    what=f"{'  ' if unchanged else ''}status polls of who is {state}{', 304' if unchanged else ''}",
                    value=median(rates),
                    unit="/s",
                    bar=None if state == "in hand" else bar,
                    note=f"{spread(rates)}; {median(times):.2f} × no-op ({median(noops):,.0f}/s);"
                    f" p99 {percentile(latencies, 0.99):.0f} ms;"
                    f" client {median([outcome.cpu_share for outcome in outcomes]):.2f} of a core;"
                    f" {cpu_note(_median_of(self._cpu[name]))};"
                    f" no-op {_median_of(self._cpu[f'{state} noop'])['API']:.0f} µs",
                )
            )
        return found


def _median_of(cpu: list[dict[str, float]]) -> dict[str, float]:
    return {group: median([each[group] for each in cpu]) for group in cpu[0]}


def _stand_in_line(installation: Installation, count: int) -> list[tuple[str, str]]:
    """A token and the job id of each of `count` clients."""
    user_ids, tokens = installation.make_users(count), installation.make_tokens(count)
    installation.fill(installation.make_event(max(count // 4, 1)), user_ids)
    return list(zip(tokens, installation.list_jobs(user_ids), strict=True))


def _set_status(installation: Installation, jobs: list[str], status: str) -> None:
    """What a worker's take does to a request, held still; and back."""
    with installation.redis.pipeline(transaction=False) as pipe:
        for job in jobs:
            pipe.hset(keys.job(job), "status", status)
        pipe.execute()


def _poll(port: int, token: str, job: str, *headers: str) -> bytes:
    return get_request(port, _path(job), f"Authorization: Bearer {token}", *headers)


def _path(job: str) -> str:
    return f"/api/bookings/status/{job}"


def _etags(port: int, jobs: list[tuple[str, str]]) -> list[str]:
    """The tag of the answer to each."""
    found = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for token, job in jobs:
            connection.request("GET", _path(job), headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            found.append(answer.headers["ETag"])
    return found

"""`/metrics`: this process' figures and the others', and the line's own, as Prometheus reads them."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final, get_args

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from api.container import Container
from shared.domain.outcomes import CONFIRMED, Outcome
from shared.line.counters import SECONDS_BOUNDS, LineCounters
from shared.metrics.families import (
    DB_QUERIES,
    HTTP_REQUESTS,
    LOG_IN_STATUSES,
    LOG_INS,
    REDIS_OPERATIONS,
    Timings,
)
from shared.metrics.files import Totals
from shared.services.line_figures import PostgresFigures, RedisFigures
from shared.store.ledger_audits import AuditDone
from shared.store.outbox import Backlog
from shared.store.waitlist import WaitlistCounts

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class _Figures(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def render_metrics(container: Container) -> bytes:
    """Everything, in Prometheus' text format. Waits at most two seconds for a server that does not answer."""
    of_redis, of_postgres = container.line_figures.read()
    families = [
        *_own(container.figures.read()),
        _up(of_redis, of_postgres),
        *(_of_redis(of_redis) if of_redis is not None else ()),
        *(_of_postgres(of_postgres, container.settings.partitions) if of_postgres is not None else ()),
    ]
    return generate_latest(_Figures(families))


def _own(totals: Totals) -> Iterator[Metric]:
    for family in (HTTP_REQUESTS, DB_QUERIES, REDIS_OPERATIONS):
        yield _timings(family, totals)
    # The same requests as the histogram's: counted once, shown twice.
    requests = CounterMetricFamily(
        "http_requests", "Requests that the API answered.", labels=HTTP_REQUESTS.labels
    )
    for labels, series in sorted(totals[HTTP_REQUESTS.name].items()):
        requests.add_metric(labels, sum(series[:-1]))
    yield requests
    log_ins = CounterMetricFamily(LOG_INS.name.removesuffix("_total"), LOG_INS.help, labels=LOG_INS.labels)
    for status in LOG_IN_STATUSES:  # from the beginning, or the first failure would be no increase
        log_ins.add_metric([status], totals[LOG_INS.name].get((status,), (0,))[0])
    yield log_ins


def _timings(family: Timings, totals: Totals) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for labels, series in sorted(totals[family.name].items()):
        metric.add_metric(labels, _buckets(family.bounds, series[:-1]), sum_value=series[-1])
    return metric


def _buckets(bounds: Iterable[float], counts: Iterable[float]) -> list[tuple[str, float]]:
    """Prometheus' buckets count everything up to their bound."""
    names = [*(str(float(bound)) for bound in bounds), "+Inf"]
    return list(zip(names, accumulate(counts), strict=True))


def _up(of_redis: RedisFigures | None, of_postgres: PostgresFigures | None) -> Metric:
    metric = GaugeMetricFamily(
        "line_up", "1 when this process could ask the server for the line's figures.", labels=["part"]
    )
    metric.add_metric(["redis"], of_redis is not None)
    metric.add_metric(["postgres"], of_postgres is not None)
    return metric


def _of_redis(figures: RedisFigures) -> Iterator[Metric]:
    depth = GaugeMetricFamily("line_depth", "Requests that wait.", labels=["partition"])
    in_flight = GaugeMetricFamily(
        "line_in_flight", "Requests that a worker has taken and not yet answered.", labels=["partition"]
    )
    oldest = 0.0
    for look in figures.partitions:
        depth.add_metric([str(look.partition)], look.waiting)
        in_flight.add_metric([str(look.partition)], look.in_flight)
        oldest = max(oldest, look.oldest_waiting_seconds or 0.0)
    yield depth
    yield in_flight
    yield GaugeMetricFamily(
        "line_oldest_waiting_seconds",
        "How long the oldest waiting request has waited; 0 when none does.",
        oldest,
    )
    yield GaugeMetricFamily("line_workers", "Booking workers heard of in the last seconds.", figures.workers)
    lost = sum(look.lost for look in figures.partitions)
    yield GaugeMetricFamily("line_lost", "Ids set aside because no request could be read in them.", lost)
    yield from _counters(figures.counters)


def _counters(counters: LineCounters) -> Iterator[Metric]:
    decided = CounterMetricFamily("line_decided", "Requests decided.", labels=["outcome"])
    for outcome in get_args(Outcome):
        decided.add_metric([outcome], counters.decided.get(outcome, 0))
    yield decided
    seconds = HistogramMetricFamily(
        "line_accept_to_decide_seconds", "Time from a request's acceptance to its decision."
    )
    seconds.add_metric([], _buckets(SECONDS_BOUNDS, counters.buckets), sum_value=counters.seconds_sum)
    yield seconds
    yield CounterMetricFamily(
        "event_registrations", "Bookings confirmed.", counters.decided.get(CONFIRMED, 0)
    )
    for name, text, value in (
        ("line_arrival_reissued", "Arrivals numbered again because Redis had lost some.", counters.reissued),
        (
            "line_oversells",
            "Ledger rows and events found with more booked than there is.",
            counters.oversells,
        ),
        ("line_order_inversions", "Ledger rows found out of their order of arrival.", counters.inversions),
        ("line_ledger_gaps", "Ledger numbers found missing.", counters.gaps),
    ):
        yield CounterMetricFamily(name, text, value)


def _of_postgres(figures: PostgresFigures, partitions: int) -> Iterator[Metric]:
    claims = GaugeMetricFamily("line_claims", "1 when a worker holds the partition.", labels=["partition"])
    for partition in range(partitions):
        claims.add_metric([str(partition)], partition in figures.claimed)
    yield claims
    yield GaugeMetricFamily("line_paused", "1 while the line is paused.", figures.paused)
    slots = GaugeMetricFamily(
        "event_available_slots", "Tickets left of the next events that are on sale.", labels=["event_id"]
    )
    for event_id, left in figures.slots.items():
        slots.add_metric([str(event_id)], left)
    yield slots
    yield GaugeMetricFamily("active_sessions", "Log-ins that can still be refreshed.", figures.log_ins)
    yield from _waitlists(figures.waitlists)
    yield from _outbox(figures.outbox)
    yield from _audit(figures.audit)


def _waitlists(counts: WaitlistCounts) -> Iterator[Metric]:
    for name, meaning, value in (
        ("line_waitlist_entries", "Waitlist entries that wait.", counts.waiting),
        ("line_offers_open", "Offers that hold tickets.", counts.offers_open),
        ("line_offers_overdue", "Those of them whose time is over.", counts.offers_overdue),
    ):
        yield GaugeMetricFamily(name, f"{meaning} Counted to 100,000.", value)


def _audit(last: AuditDone | None) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "ledger_audit_findings",
        "What the last nightly check of all ledgers found.",
        0 if last is None else last.findings,
    )
    yield GaugeMetricFamily(
        "ledger_audit_timestamp_seconds",
        "When that check ended; 0 before the first.",
        0 if last is None else last.ended_at.timestamp(),
    )


def _outbox(backlog: Backlog) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "outbox_messages", "Messages that wait to be told on; counted to 100,000.", backlog.waiting
    )
    yield GaugeMetricFamily(
        "outbox_oldest_seconds",
        "How long the oldest of them has waited; 0 when none does.",
        backlog.oldest_seconds,
    )
    yield GaugeMetricFamily(
        "outbox_set_aside", "Messages that could not be told on and are kept.", backlog.set_aside
    )

"""The model of throughput: what the laws say by hand must come out, and nothing may be faster than its bottleneck."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.capacity import model
from scripts.capacity.model import Costs, Demand, Size

COSTS = Costs(
    accept=Demand(api_us=400, redis_us=50, client_us=20),
    decision=Demand(worker_us=20, redis_us=20, postgres_us=20, wait_us=5),
    batch=Demand(worker_us=500, redis_us=200, postgres_us=800, wait_us=1_000),
    batch_max=250,
)

demands = st.builds(
    Demand,
    **{name: st.floats(1, 1_000) for name in ("api_us", "redis_us", "postgres_us", "worker_us", "wait_us")},
)
sizes = st.builds(
    Size,
    cores=st.floats(0.5, 64),
    api_processes=st.integers(1, 64),
    workers=st.integers(1, 64),
    busy_partitions=st.integers(1, 64),
    redis_primaries=st.integers(1, 8),
)


class TestAccepts:
    def test_are_limited_by_one_interpreter_on_many_cores(self):
        found = model.accepts(COSTS, Size(cores=16, api_processes=1))
        assert found.limit == model.Ceiling(model.API, 2_500)
        assert found.next_limit.resource == model.REDIS

    def test_share_two_cores_with_redis_and_the_client(self):
        found = model.accepts(COSTS, Size(cores=2, api_processes=4, clients=1))
        assert found.limit.resource == model.CORES
        assert found.per_second == pytest.approx(2_000_000 / 470)

    def test_do_not_pay_for_clients_elsewhere(self):
        found = model.accepts(COSTS, Size(cores=2, api_processes=4))
        assert found.per_second == pytest.approx(2_000_000 / 450)

    def test_end_at_the_one_thread_of_redis_until_there_are_several(self):
        one = model.accepts(COSTS, Size(cores=64, api_processes=64))
        four = model.accepts(COSTS, Size(cores=64, api_processes=64, redis_primaries=4))
        assert (one.limit.resource, one.per_second) == (model.REDIS, 20_000)
        assert four.per_second == pytest.approx(80_000)

    def test_pay_for_company_where_the_cores_are_the_limit_and_nowhere_else(self):
        dear = replace(COSTS, company=1.25)
        crowded = model.accepts(dear, Size(cores=2, api_processes=4, clients=1))
        roomy = model.accepts(dear, Size(cores=16, api_processes=1))
        assert crowded.per_second == pytest.approx(2_000_000 / (1.25 * 470))
        assert roomy.limit == model.Ceiling(model.API, 2_500)

    def test_of_few_connections_wait_for_the_disk(self):
        costs = replace(COSTS, accept=replace(COSTS.accept, wait_us=9_530))
        found = model.accepts(costs, Size(cores=16, api_processes=16, connections=8))
        assert (found.limit.resource, found.per_second) == (model.CONNECTIONS, pytest.approx(800))


class TestDecisions:
    def test_of_one_event_are_serial_whatever_the_cores(self):
        two, many = (model.decisions(COSTS, Size(cores=cores, workers=16)) for cores in (2, 64))
        assert two.per_second == many.per_second == pytest.approx(1e6 / (45 + 2_300 / 250))
        assert many.limit.resource == model.PARTITIONS

    def test_of_one_event_wait_for_redis_where_it_is_slower_than_the_worker_beside_it(self):
        costs = replace(COSTS, decision=replace(COSTS.decision, redis_us=100))
        found = model.decisions(costs, Size(cores=64, redis_primaries=4))
        assert (found.limit.resource, found.per_second) == (
            model.PARTITIONS,
            pytest.approx(1e6 / (100 + 0.8)),
        )

    def test_of_distinct_events_grow_with_workers_until_redis(self):
        def rate(workers):
            return model.decisions(COSTS, Size(cores=64, workers=workers, busy_partitions=64))

        assert rate(2).per_second == pytest.approx(2 * rate(1).per_second)
        assert rate(2).limit.resource == model.WORKERS
        assert rate(64).limit.resource == model.REDIS


class TestEndToEnd:
    def test_decides_in_batches_of_what_arrives_meanwhile(self):
        size = Size(cores=8, api_processes=2)
        found = model.end_to_end(COSTS, size)
        assert found.limit.resource == model.API  # whom no batch keeps waiting
        cycle = COSTS.batch_cycle_us(found.batch_size)
        assert found.batch_size == pytest.approx(found.per_second * cycle / 1e6, rel=0.01)

    def test_batches_grow_where_everybody_queues_for_redis(self):
        calm = model.end_to_end(COSTS, Size(cores=64, api_processes=16, workers=8, busy_partitions=8))
        crowded = model.end_to_end(COSTS, Size(cores=64, api_processes=64, workers=8, busy_partitions=8))
        assert calm.limit.resource == crowded.limit.resource == model.REDIS
        assert crowded.batch_size > calm.batch_size

    def test_a_batch_takes_longer_where_everybody_wants_a_core(self):
        size = Size(cores=2, workers=1, clients=1)
        alone, company = (model.end_to_end(replace(COSTS, company=price), size) for price in (1.0, 1.25))
        assert alone.limit.resource == company.limit.resource == model.CORES
        assert company.batch_size / company.per_second > alone.batch_size / alone.per_second

    def test_pays_for_small_batches(self):
        found = model.end_to_end(COSTS, Size(cores=2, workers=1, clients=1))
        assert found.per_second < 2_000_000 / (470 + 60 + 1_500 / 250)

    def test_is_the_lines_own_speed_when_accepting_is_free(self):
        costs = replace(COSTS, accept=Demand(api_us=1, redis_us=1))
        found = model.end_to_end(costs, Size(cores=64, api_processes=8))
        assert found.per_second == pytest.approx(model.decisions(costs, Size(cores=64)).per_second)
        assert found.batch_size == pytest.approx(costs.batch_max)

    @given(demands, demands, demands, sizes, st.floats(1, 3))
    def test_is_never_faster_than_accepting_or_deciding_alone(self, accept, decision, batch, size, company):
        costs = Costs(accept=accept, decision=decision, batch=batch, company=company)
        found = model.end_to_end(costs, size).per_second
        assert found <= model.accepts(costs, size).per_second * 1.000_001
        assert found <= model.decisions(costs, size).per_second * 1.000_001

    @given(demands, demands, demands, sizes, st.floats(1, 3))
    def test_more_of_anything_never_slows_accepting_or_deciding(self, accept, decision, batch, size, company):
        costs = Costs(accept=accept, decision=decision, batch=batch, company=company)
        for name in ("cores", "api_processes", "workers", "busy_partitions", "redis_primaries"):
            more = replace(size, **{name: getattr(size, name) + 1})
            for operation in (model.accepts, model.decisions):
                assert operation(costs, more).per_second >= operation(costs, size).per_second * 0.999_999

"""Token buckets: so many at once, refilled evenly, shared with other processes, in bounded memory."""

from api.token_buckets import Quota, TokenBuckets, Verdict

QUOTA = Quota("general", 60, 30)  # two a second


def buckets(**options) -> TokenBuckets:
    return TokenBuckets(QUOTA, **{"shared": True, **options})


def take(some: TokenBuckets, count: int, *, now: float = 0.0, client: str = "a") -> Verdict:
    return [some.take(client, now) for _ in range(count)][-1]


class TestTaking:
    def test_is_possible_as_often_as_the_quota_says(self):
        some = buckets()
        assert take(some, 60) == Verdict(allowed=True, remaining=0, seconds=30)
        assert take(some, 1) == Verdict(allowed=False, remaining=0, seconds=1)

    def test_is_possible_again_as_time_passes(self):
        some = buckets()
        take(some, 60)
        assert take(some, 3, now=1.0) == Verdict(allowed=False, remaining=0, seconds=1)
        assert take(some, 1, now=1.5).allowed
        assert take(some, 1, now=1000.0) == Verdict(allowed=True, remaining=59, seconds=1)

    def test_what_is_refused_costs_nothing(self):
        some = buckets()
        take(some, 1000)
        assert take(some, 1, now=0.5).allowed

    def test_is_counted_for_each_client(self):
        some = buckets()
        take(some, 61)
        assert take(some, 1, client="b").remaining == 59

    def test_survives_a_clock_that_was_read_earlier(self):
        some = buckets()
        take(some, 60, now=10.0)
        assert not take(some, 1, now=9.0).allowed


class TestCharging:
    def test_says_in_how_many_seconds_there_is_one_again(self):
        some = buckets()
        assert [some.charge("a", 0.0) for _ in range(59)] == [0.0] * 59
        assert [some.charge("a", 0.0) for _ in range(3)] == [0.5, 1.0, 1.5]
        assert not take(some, 1, now=1.0).allowed
        assert take(some, 1, now=1.5).allowed

    def test_is_a_debt_of_one_quota_at_most(self):
        some = buckets()
        assert [some.charge("a", 0.0) for _ in range(1000)][-1] == 30.5

    def test_is_told_to_the_others_in_bounded_memory(self):
        some = buckets(capacity=2)
        for client in ("a", "a", "b", "c"):
            some.charge(client, 0.0)
        assert some.collect() == {"a": 2, "b": 1}


class TestSharing:
    def test_tells_once_what_was_taken_here(self):
        some = buckets()
        take(some, 70)
        take(some, 2, client="b")
        assert some.collect() == {"a": 60, "b": 2}
        assert some.collect() == {}

    def test_what_was_taken_elsewhere_is_gone_here_and_not_told_again(self):
        some = buckets()
        some.spend({"a": 59}, 0.0)
        assert take(some, 1) == Verdict(allowed=True, remaining=0, seconds=30)
        assert not take(some, 1).allowed
        assert some.collect() == {"a": 1}

    def test_what_two_allowed_at_once_is_a_debt_of_one_quota_at_most(self):
        some = buckets()
        take(some, 60)
        some.spend({"a": 60}, 0.0)
        assert take(some, 1) == Verdict(allowed=False, remaining=0, seconds=31)
        some.spend({"a": 10**9}, 0.0)
        assert take(some, 1).seconds == 31

    def test_is_not_prepared_for_what_is_not_shared(self):
        some = buckets(shared=False)
        take(some, 1)
        assert some.collect() == {}


class TestMemory:
    def test_is_bounded(self):
        some = buckets(capacity=100)
        for number in range(1000):
            take(some, 1, client=f"client-{number}")
        some.spend({f"other-{number}": 1 for number in range(1000)}, 0.0)
        assert len(some) == 100
        assert len(some.collect()) == 100

    def test_forgets_first_who_has_not_come_for_longest(self):
        some = buckets(capacity=100)
        take(some, 60, client="a")
        take(some, 60, client="b")
        for number in range(50):
            take(some, 1, client=f"client-{number}")
        assert not take(some, 1, client="a").allowed  # it has come again
        for number in range(50, 110):
            take(some, 1, client=f"client-{number}")
        assert not take(some, 1, client="a").allowed
        assert take(some, 1, client="b").allowed

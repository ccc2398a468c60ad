"""Whatever happens to an event with a waitlist, it happens as in a model that is too naive to be wrong; the same singly
or in batches, and its ledger can be replayed. For longer, and at random: test_waitlist_long_walks.py.
"""

from hypothesis import settings

from tests.waitlist_rules import EventWithAWaitlist

TestEventWithAWaitlist = EventWithAWaitlist.TestCase
TestEventWithAWaitlist.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)

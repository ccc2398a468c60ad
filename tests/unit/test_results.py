"""What the worker replies, and who may do what: small pure functions."""

import orjson
import pytest

from shared.domain.allocation import decide
from shared.domain.outcomes import REASONS, rejected
from shared.domain.partitions import partition_of, queue_name
from shared.domain.permissions import (
    Actor,
    acting_as_for_booking,
    may_create_events,
    may_manage_event,
    may_place_events,
)
from shared.domain.results import result_document
from tests.snapshots import NOW, event_state, request, snapshot_of

ATTENDEE, HOST, ADMIN = Actor(1, "attendee"), Actor(2, "host"), Actor(3, "admin")
MEMBER = Actor(4, "attendee", organization_ids=frozenset({7, 8}))


class TestResultDocument:
    def test_shows_the_booking_as_the_decision_left_it(self):
        snapshot = snapshot_of(event_state())
        booked = decide(snapshot, [request(tickets=2)], NOW).decided[0]
        booking = booked.booking
        assert booking is not None
        booking.reference = "K7Q2-9XMD"
        cancelled = decide(snapshot, [request(kind="cancel", booking_id=booking.id)], NOW).decided[0]

        first = result_document(booked.row, booking)
        second = result_document(cancelled.row, booking)
        assert (first["booking"]["status"], first["booking"]["cancelled_at"]) == ("confirmed", None)
        assert (second["booking"]["status"], second["booking"]["cancelled_at"]) == (
            "cancelled",
            second["decided_at"],
        )
        assert first["booking"]["arrival"] == 1
        assert orjson.loads(orjson.dumps(first)) == first

    def test_of_a_refusal_has_no_booking(self):
        refused = decide(snapshot_of(event_state(booked=10)), [request()], NOW).decided[0]
        document = result_document(refused.row, refused.booking)
        assert (document["outcome"], document["reason"], document["booking"]) == (
            "rejected",
            "sold_out",
            None,
        )
        assert (document["number"], document["arrival"], document["available_after"]) == (1, 1, 0)


class TestOutcomes:
    def test_every_reason_says_something_to_a_person(self):
        assert all(text.endswith(".") for text in REASONS.values())
        assert rejected("sold_out", left=0).facts == {"left": 0}


class TestPartitions:
    def test_keep_an_event_in_one_line(self):
        assert [partition_of(event_id, 8) for event_id in (0, 7, 8, 2**63 - 1)] == [0, 7, 0, 7]
        assert queue_name(3) == "bookings-3"


class TestPermissions:
    def test_hosts_and_admins_create_events(self):
        assert [may_create_events(actor) for actor in (ATTENDEE, HOST, ADMIN)] == [False, True, True]

    @pytest.mark.parametrize("organization_id", [None, 7, 9])
    def test_its_host_its_organization_and_admins_manage_an_event(self, organization_id):
        def may(actor, host_id=2):
            return may_manage_event(actor, host_id=host_id, organization_id=organization_id)

        assert [may(actor) for actor in (ATTENDEE, HOST, ADMIN)] == [False, True, True]
        assert not may(HOST, 9)
        assert may(MEMBER) is (organization_id == 7)

    def test_members_and_admins_put_events_into_an_organization(self):
        assert [may_place_events(actor, 7) for actor in (HOST, MEMBER, ADMIN)] == [False, True, True]
        assert not may_place_events(MEMBER, 9)

    @pytest.mark.parametrize(
        ("actor", "owner_id", "host_id", "organization_id", "right"),
        [
            (ATTENDEE, 1, 2, 7, "owner"),
            (ATTENDEE, 9, 2, None, None),
            (HOST, 1, 2, None, "host"),
            (HOST, 2, 2, 7, "host"),
            (HOST, 2, 9, None, "owner"),
            (HOST, 1, 9, 7, None),
            (MEMBER, 1, 2, 7, "host"),
            (MEMBER, 4, 2, 8, "host"),
            (MEMBER, 4, 2, 9, "owner"),
            (MEMBER, 1, 2, None, None),
            (ADMIN, 1, 2, None, "admin"),
            (ADMIN, 3, 2, 7, "admin"),
        ],
    )
    def test_the_strongest_right_counts(self, actor, owner_id, host_id, organization_id, right):
        acting_as = acting_as_for_booking(
            actor, owner_id=owner_id, host_id=host_id, organization_id=organization_id
        )
        assert acting_as == right

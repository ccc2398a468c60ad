"""The words of notifications, and the steps of moving up."""

from datetime import UTC, datetime

import pytest

from shared.adapters.deliveries import RememberedDelivery
from shared.domain.notifications import (
    _SAY,
    KINDS,
    EventAbout,
    Notice,
    told_changes,
    waitlist_step,
    words,
)

EVENT = EventAbout(
    title="Jazz Night",
    starts_at=datetime(2030, 6, 1, 18, tzinfo=UTC),
    time_zone="Europe/Paris",
    host_name="Ada",
)
UNTIL = "2030-05-31T22:30:00.000000Z"

SAID = [
    (
        "booking_confirmed",
        {"tickets": 2, "reference": "K7Q2-9XMD"},
        "2 tickets for Jazz Night, Sat 1 June 2030, 20:00 (Europe/Paris). Reference K7Q2-9XMD.",
    ),
    (
        "booking_cancelled",
        {"tickets": 1, "by": "owner"},
        "You cancelled your booking of 1 ticket for Jazz Night.",
    ),
    (
        "booking_cancelled",
        {"tickets": 2, "by": "host"},
        "The host cancelled your booking of 2 tickets for Jazz Night.",
    ),
    (
        "booking_cancelled",
        {"tickets": 2, "by": "admin"},
        "An administrator cancelled your booking of 2 tickets for Jazz Night.",
    ),
    (
        "booking_cancelled",
        {"tickets": 2, "by": None},
        "The organizers cancelled your booking of 2 tickets for Jazz Night.",
    ),
    (
        "event_called_off",
        {"tickets": 2, "booking_id": "b"},
        "Jazz Night will not take place. Your booking of 2 tickets is cancelled.",
    ),
    (
        "event_called_off",
        {"tickets": 2, "booking_id": None},
        "Jazz Night will not take place. The waitlist is closed.",
    ),
    (
        "event_changed",
        {
            "changes": {
                "starts_at": {"from": "2030-06-01T17:00:00.000000Z", "to": "2030-06-01T18:00:00.000000Z"},
                "ends_at": {"from": "2030-06-01T19:00:00.000000Z", "to": "2030-06-01T22:30:00.000000Z"},
                "venue": {"from": "", "to": "Salle Pleyel"},
            }
        },
        (
            "Jazz Night: it now starts Sat 1 June 2030, 20:00 (Europe/Paris) (before: Sat 1 June 2030, 19:00 (Europe/Paris)); "
            "it now ends Sun 2 June 2030, 00:30 (Europe/Paris) (before: Sat 1 June 2030, 21:00 (Europe/Paris)); "
            "it is now at Salle Pleyel (before: not announced)."
        ),
    ),
    (
        "event_changed",
        {"changes": {"venue": {"from": "Salle Pleyel", "to": ""}}},
        "Jazz Night: it is now at a venue to be announced (before: Salle Pleyel).",
    ),
    (
        "event_changed",
        {
            "changes": {
                "starts_at": {"from": "2030-06-01T17:00:00.000000Z", "to": "2030-06-01T18:00:00.000000Z"}
            }
        },
        "Jazz Night: it now starts Sat 1 June 2030, 20:00 (Europe/Paris) (before: Sat 1 June 2030, 19:00 (Europe/Paris)).",
    ),
    ("sales_open", {}, "Tickets for Jazz Night, Sat 1 June 2030, 20:00 (Europe/Paris), are on sale."),
    ("new_event", {}, "Ada announced Jazz Night, Sat 1 June 2030, 20:00 (Europe/Paris)."),
    (
        "offer_made",
        {"tickets": 1, "expires_at": UNTIL},
        "1 ticket for Jazz Night is held for you until Sat 1 June 2030, 00:30 (Europe/Paris). Accept the offer before.",
    ),
    (
        "offer_expiring",
        {"tickets": 2, "expires_at": UNTIL},
        "2 tickets for Jazz Night are held for you only until Sat 1 June 2030, 00:30 (Europe/Paris).",
    ),
    ("offer_expired", {"tickets": 2}, "2 tickets for Jazz Night are no longer held for you."),
    ("waitlist_moved", {"place": 1}, "You are now first on the waitlist of Jazz Night."),
    ("waitlist_moved", {"place": 4}, "You are now number 4 on the waitlist of Jazz Night."),
    ("of_a_newer_release", {}, "There is news about Jazz Night."),
]


@pytest.mark.parametrize(("kind", "facts", "body"), SAID)
def test_words_are_for_people(kind, facts, body):
    said = words(kind, facts, EVENT)
    assert said.body == body
    assert 0 < len(said.title) <= 40


def test_every_kind_has_its_words():
    assert set(_SAY) == set(KINDS)
    assert {kind for kind, _, _ in SAID} >= set(KINDS)


def test_only_what_concerns_who_comes_is_told():
    assert told_changes({"title": 1, "venue": 2, "capacity": 3, "starts_at": 4}) == {
        "starts_at": 4,
        "venue": 2,
    }
    assert told_changes({"title": 1}) == {}


@pytest.mark.parametrize(
    ("place", "step"), [(1, 1), (2, 2), (3, 3), (4, 5), (5, 5), (6, 10), (10, 10), (11, None)]
)
def test_steps_of_moving_up(place, step):
    assert waitlist_step(place) == step


def test_the_twin_remembers_once_for_each_person_and_cause():
    delivery = RememberedDelivery()
    delivery.closed.add(2)
    first = Notice(user_id=1, kind="sales_open", cause="sales_open:7", event_id=7, facts={"n": 1})
    again = Notice(user_id=1, kind="sales_open", cause="sales_open:7", event_id=7, facts={"n": 2})
    closed = Notice(user_id=2, kind="sales_open", cause="sales_open:7", event_id=7, facts={})
    delivery.deliver(None, [first, again, closed])  # type: ignore[arg-type]
    delivery.deliver(None, [again])  # type: ignore[arg-type]
    assert delivery.told == {(1, "sales_open:7"): first}

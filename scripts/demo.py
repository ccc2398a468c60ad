"""The demo's people, organizations and events. The passwords are public on purpose: development only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class DemoUser:
    """Somebody whose password everybody knows."""

    name: str
    email: str
    role: str
    password: str


ADMIN: Final = DemoUser("Ada Admin", "admin@example.org", "admin", "demo-admin-password")
HOSTS: Final = (
    DemoUser("Hugo Host", "hugo@example.org", "host", "demo-host-password"),
    DemoUser("Hanna Host", "hanna@example.org", "host", "demo-host-password"),
)
ATTENDEES: Final = tuple(
    DemoUser(f"{name} Attendee", f"{name.lower()}@example.org", "attendee", "demo-attendee-password")
    for name in ("Alice", "Boris", "Chloe", "David")
)

# attendee → the hosts that they follow, by number.
FOLLOWS: Final[Mapping[int, tuple[int, ...]]] = {0: (0, 1), 1: (1,), 2: (0,)}


@dataclass(frozen=True, slots=True)
class DemoOrganization:
    """An organization by its name: who owns it, and who else belongs to it."""

    owner: DemoUser
    members: tuple[DemoUser, ...]
    fields: Mapping[str, str]


# Their addresses are nobody's: nothing here fetches them.
ORGANIZATIONS: Final = (
    DemoOrganization(
        HOSTS[0],
        (HOSTS[1], ATTENDEES[0]),
        {
            "name": "Cello Festival",
            "logo_url": "https://cello-festival.example/logo.svg",
            "website_url": "https://cello-festival.example/",
            "background_url": "https://cello-festival.example/hall.jpg",
        },
    ),
    DemoOrganization(
        HOSTS[1],
        (ATTENDEES[1],),
        {"name": "Riverside Society", "website_url": "https://riverside.example/"},
    ),
)


@dataclass(frozen=True, slots=True)
class DemoEvent:
    """An event by its code, hosted by the host of that number, of the organization of that number (None: of none).

    Attendees are named by their number. The first ones book `tickets`, those in `waiting` join the waitlist after them
    for as many; with `gives_back` the first one then cancels, so that somebody gets an offer. `looks` are impressions.
    """

    code: str
    host: int
    days_until_start: int
    fields: Mapping[str, Any]
    tickets: tuple[int, ...] = ()
    organization: int | None = None
    waiting: Mapping[int, int] = field(default_factory=dict)
    gives_back: bool = False
    interested: tuple[int, ...] = ()
    looks: int = 0


EVENTS: Final = (
    DemoEvent(
        "DEMO-CONCERT",
        0,
        30,
        {
            "title": "Night of the Cellos",
            "venue": "Grande Salle",
            "category": "music",
            "capacity": 500,
            "price_minor": 3500,
            "max_per_booking": 6,
        },
        (2, 1),
        organization=0,
        looks=340,
    ),
    DemoEvent(
        "DEMO-WORKSHOP",
        0,
        10,
        {
            "title": "Letterpress for Beginners",
            "venue": "Atelier 4",
            "category": "workshop",
            "capacity": 12,
            "price_minor": 8000,
            "max_per_booking": 2,
        },
        (1,),
        looks=25,
    ),
    DemoEvent(
        "DEMO-SOLD-OUT",
        1,
        14,
        {"title": "Dinner in the Dark", "venue": "Cave du Guichet", "category": "food", "capacity": 8},
        (4, 4),
        waiting={2: 2, 3: 1},
        looks=210,
    ),
    DemoEvent(
        "DEMO-OFFER",
        1,
        21,
        {"title": "Two Chairs, One Piano", "venue": "Salon Bleu", "category": "music", "capacity": 2},
        (2,),
        waiting={1: 2, 3: 1},
        gives_back=True,
        looks=60,
    ),
    DemoEvent(
        "DEMO-LATER",
        1,
        90,
        {
            "title": "Summer Open Air",
            "venue": "Riverside",
            "category": "music",
            "capacity": 20_000,
            "price_minor": 5900,
            "sales_open_in": timedelta(days=30),
        },
        organization=1,
        interested=(0, 2),
        looks=480,
    ),
    DemoEvent(
        "DEMO-SOON",
        0,
        45,
        {
            "title": "Record Fair at Midnight",
            "venue": "Halle 3",
            "category": "market",
            "capacity": 150,
            "price_minor": 500,
            "sales_open_in": timedelta(minutes=5),
        },
        organization=0,
        interested=(0, 1, 3),
        looks=95,
    ),
    DemoEvent(
        "DEMO-MEETUP",
        1,
        5,
        {"title": "Queue Theory Meetup", "venue": "Library", "category": "talk", "capacity": 60},
        looks=40,
    ),
    DemoEvent(
        "DEMO-DRAFT",
        0,
        60,
        {
            "title": "Secret Show",
            "venue": "To be told",
            "category": "music",
            "capacity": 100,
            "status": "draft",
        },
        organization=0,
    ),
)

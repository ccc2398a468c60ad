"""Who may do what: every route, method and kind of thing, and what everybody else is told.

A row reads: *this call*, *of this thing*, is answered *so* to whoever *may*, and *so* to everybody else who is known.
Who is not known is told 401, unless `unknown` says otherwise; `but` has what fits no rule. A route that is in no row
fails `test_table.py`, and so does a row whose route is gone.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

from tests.access.callers import (
    ADMINS,
    BAD_BEARERS,
    CONSOLE,
    EVERYBODY,
    HOSTS,
    KNOWN,
    MANAGERS,
    MEMBERS,
    NONE,
    OWNER,
    OWNER_OR_ADMIN,
    PARTIES,
    RUNNERS,
    UNSPOILT,
    Callers,
    Who,
)
from tests.factories import PASSWORD

# `{name}` in a body is a value of the thing, or of the call.
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    call: str  # the method and the rule, as the application has it
    of: str  # the kind of thing, as `world.py` makes it
    may: Callers
    answer: int  # to whoever may
    others: int = 403  # to whoever is known and may not
    _: KW_ONLY
    unknown: int = 401  # to whoever shows no token
    body: Body | None = None
    owners_body: Body | None = None  # what only the owner has to send
    but: Mapping[Who, int] = field(default_factory=dict)
    # Who is told 404 and knows all the same that the thing is there: it is another thing that they have not.
    in_sight: Callers = NONE
    # Nobody guesses its id, of 74 random bits: it may take other look-ups to find than not to find.
    unguessable: bool = False
    nowhere: str = ""  # the kind of thing that looks the same to who may not; else one that was never there

    @property
    def method(self) -> str:
        """`GET`."""
        return self.call.partition(" ")[0]

    @property
    def rule(self) -> str:
        """`/api/events/<int:event_id>`."""
        return self.call.partition(" ")[2]

    @property
    def title(self) -> str:
        """What a failure is called."""
        return f"{self.call} of {self.of}" + ("" if not self.body else f" with {', '.join(self.body)}")

    def status(self, who: Who) -> int:
        """What `who` is answered."""
        if who in self.but:
            return self.but[who]
        if who in self.may:
            return self.answer
        if who in KNOWN:
            return self.others
        return 401 if who in BAD_BEARERS else self.unknown

    def refuses(self, who: Who) -> bool:
        """Whether `who` is kept from it."""
        return who not in self.may


EVENT: Final = "/api/events/<int:event_id>"
BOOKING: Final = "/api/bookings/<uuid:booking_id>"
STATUS: Final = "/api/bookings/status/<uuid:job_id>"
ORGANIZATION: Final = "/api/organizations/<int:organization_id>"
USER: Final = "/api/users/<int:user_id>"
NEW_EVENT: Final = {"title": "Concert", "starts_at": "2040-06-01T18:00:00Z", "capacity": 50}

ACCOUNTS: Final = (
    Row("POST /api/auth/register", "nothing", EVERYBODY, 201,
        body={"name": "Eve", "email": "{fresh_email}", "password": PASSWORD}),
    Row("POST /api/auth/login", "an account", EVERYBODY, 200,
        body={"email": "{email}", "password": PASSWORD}),
    Row("POST /api/auth/refresh", "nothing", frozenset({Who.REFRESH}), 200, 401),
    Row("POST /api/auth/logout", "oneself", KNOWN, 204),
    Row("GET /api/auth/profile", "oneself", KNOWN, 200),
    Row("PUT /api/auth/profile", "oneself", KNOWN, 200, body={"name": "Eve"}),
    Row("PUT /api/auth/change-password", "oneself", KNOWN, 204,
        body={"current_password": PASSWORD, "new_password": "another-fine-password"}),
    Row("GET /api/auth/export", "oneself", KNOWN, 200),
    Row("DELETE /api/auth/account", "oneself", KNOWN, 204, body={"password": PASSWORD}),
    Row("GET /api/users", "nothing", ADMINS, 200),
    Row("GET /api/admin/users", "nothing", ADMINS, 200),
    Row(f"GET {USER}", "an account", OWNER_OR_ADMIN, 200, 404),
    Row(f"PUT {USER}", "an account", OWNER_OR_ADMIN, 200, 404, body={"name": "Eve"}),
    Row(f"PUT {USER}", "an account", ADMINS, 200, 404, body={"role": "host"}, but={Who.OWNER: 403}),
    Row(f"DELETE {USER}", "an account", OWNER_OR_ADMIN, 204, 404, owners_body={"password": PASSWORD}),
)  # fmt: skip

ORGANIZATIONS: Final = (
    Row("GET /api/organizations", "nothing", UNSPOILT, 200),
    Row("POST /api/organizations", "nothing", HOSTS, 201, body={"name": "Choir"}),
    Row(f"GET {ORGANIZATION}", "an organization", EVERYBODY, 200),
    Row(f"PUT {ORGANIZATION}", "an organization", RUNNERS, 200, body={"name": "Choir"}),
    Row(f"PATCH {ORGANIZATION}", "an organization", RUNNERS, 200, body={"name": "Choir"}),
    Row(f"DELETE {ORGANIZATION}", "an organization", RUNNERS, 204),
    Row(f"GET {ORGANIZATION}/members", "an organization", MEMBERS, 200, 404),
    Row(f"POST {ORGANIZATION}/members", "an organization", RUNNERS, 201, 404,
        body={"user_id": "{newcomer}"}, but={Who.ORG_MEMBER: 403}),
    Row(f"DELETE {ORGANIZATION}/members", "an organization", frozenset({Who.ORG_MEMBER}), 204, 404,
        but={Who.ORG_OWNER: 409}, in_sight=ADMINS),  # the last owner stays, an admin belongs to none
    Row(f"DELETE {ORGANIZATION}/members", "an organization", RUNNERS, 204, 404,
        body={"user_id": "{user_id}"}, but={Who.ORG_MEMBER: 403}),
    Row(f"DELETE {ORGANIZATION}/members/<int:user_id>", "an organization", RUNNERS, 204, 404,
        but={Who.ORG_MEMBER: 403}),
)  # fmt: skip

EVENTS: Final = (
    Row("GET /api/events", "nothing", UNSPOILT, 200),
    Row("GET /api/events/view", "nothing", UNSPOILT, 200),
    Row("GET /api/events/slots", "nothing", EVERYBODY, 200),
    Row("POST /api/events", "nothing", HOSTS, 201, body=NEW_EVENT),
    Row("POST /api/events", "an organization", ADMINS, 201,
        body={**NEW_EVENT, "organization_id": "{organization_id}"}),  # its members here have not the role
    # what is public is public with any token
    Row(f"GET {EVENT}", "an event", EVERYBODY, 200),
    Row(f"GET {EVENT}/view", "an event", EVERYBODY, 200),
    Row(f"GET {EVENT}/slots", "an event", EVERYBODY, 200),
    Row("GET /api/events/slots/<int:event_id>", "an event", EVERYBODY, 200),
    Row(f"GET {EVENT}/decisions", "an event", EVERYBODY, 200),
    Row(f"GET {EVENT}/decisions/head", "an event", EVERYBODY, 200),
    Row(f"GET {EVENT}/waitlist", "an event", UNSPOILT, 200),  # who waits: only to managers, see below
    # a draft is there for who manages it
    Row(f"GET {EVENT}", "a draft", MANAGERS, 200, 404, unknown=404),
    Row(f"GET {EVENT}/view", "a draft", MANAGERS, 200, 404, unknown=404),
    Row(f"GET {EVENT}/slots", "a draft", MANAGERS, 200, 404, unknown=404),
    Row("GET /api/events/slots/<int:event_id>", "a draft", MANAGERS, 200, 404, unknown=404),
    Row(f"GET {EVENT}/decisions", "a draft", MANAGERS, 200, 404, unknown=404),
    Row(f"GET {EVENT}/decisions/head", "a draft", MANAGERS, 200, 404, unknown=404),
    Row(f"GET {EVENT}/waitlist", "a draft", MANAGERS, 200, 404, unknown=404),
    Row(f"PUT {EVENT}", "an event", MANAGERS, 200, body=NEW_EVENT),
    Row(f"PATCH {EVENT}", "an event", MANAGERS, 200, body={"title": "Recital"}),
    Row(f"DELETE {EVENT}", "an event", MANAGERS, 204),
    Row(f"PUT {EVENT}", "a draft", MANAGERS, 200, 404, body=NEW_EVENT),
    Row(f"PATCH {EVENT}", "a draft", MANAGERS, 200, 404, body={"title": "Recital"}),
    Row(f"DELETE {EVENT}", "a draft", MANAGERS, 204, 404),
    Row(f"GET {EVENT}/stats", "an event", MANAGERS, 200),
    Row(f"GET {EVENT}/bookings", "an event", MANAGERS, 200),
    Row(f"GET {EVENT}/bookings.csv", "an event", MANAGERS, 200),
    Row(f"GET {EVENT}/line", "an event", MANAGERS, 200),
    Row(f"GET {EVENT}/interest", "an event", MANAGERS, 200),
    Row(f"GET {EVENT}/stats", "a draft", MANAGERS, 200, 404),
    Row(f"GET {EVENT}/bookings", "a draft", MANAGERS, 200, 404),
    Row(f"GET {EVENT}/bookings.csv", "a draft", MANAGERS, 200, 404),
    Row(f"GET {EVENT}/line", "a draft", MANAGERS, 200, 404),
    Row(f"GET {EVENT}/interest", "a draft", MANAGERS, 200, 404),
)  # fmt: skip

BOOKINGS: Final = (
    Row("POST /api/bookings/<int:event_id>/book", "an event", KNOWN, 202),
    Row("POST /api/bookings", "an event", KNOWN, 202, body={"event_id": "{event_id}"}),
    Row(f"POST {EVENT}/register", "an event", KNOWN, 202),
    # nothing of a draft is for sale, whoever manages it
    Row("POST /api/bookings/<int:event_id>/book", "a draft", NONE, 202, 404),
    Row("POST /api/bookings", "a draft", NONE, 202, 404, body={"event_id": "{event_id}"}),
    Row(f"POST {EVENT}/register", "a draft", NONE, 202, 404),
    Row("GET /api/bookings", "nothing", KNOWN, 200),
    Row("GET /api/bookings/history", "nothing", KNOWN, 200),
    Row("GET /api/bookings/requests", "nothing", KNOWN, 200),
    Row("GET /api/events/user/registrations", "nothing", KNOWN, 200),
    Row(f"GET {BOOKING}", "a booking", PARTIES, 200, 404),
    Row("GET /api/bookings/reference/<reference>", "a booking", PARTIES, 200, 404),
    Row(f"PUT {BOOKING}/cancel", "a booking", PARTIES, 202, 404),
    Row(f"DELETE {BOOKING}", "a booking", PARTIES, 202, 404),
    Row(f"POST {EVENT}/cancel", "a booking", OWNER, 202, 404, nowhere="an event"),  # one's own, of this event
    Row(f"POST {EVENT}/cancel", "a draft", NONE, 202, 404, in_sight=MANAGERS),
    Row(f"GET {EVENT}/check-registration", "an event", KNOWN, 200),
    Row(f"GET {EVENT}/check-registration", "a draft", MANAGERS, 200, 404),
    Row(f"GET {STATUS}", "a request", OWNER_OR_ADMIN, 200, 404, unguessable=True),
    Row(f"DELETE {STATUS}", "a request", OWNER, 202, 404, unguessable=True),
    Row(f"GET {STATUS}", "a decided request", OWNER_OR_ADMIN, 200, 404, unguessable=True),
    Row(f"GET {STATUS}/stream", "a decided request", OWNER_OR_ADMIN, 200, 404, unguessable=True),
)  # fmt: skip

WAITING: Final = (
    Row("GET /api/waitlist", "nothing", KNOWN, 200),
    Row("GET /api/waitlist/notifications", "nothing", KNOWN, 200),
    Row("POST /api/waitlist/join", "an event without tickets", KNOWN, 202,
        body={"event_id": "{event_id}"}),
    Row("POST /api/waitlist/join", "a draft", NONE, 202, 404, body={"event_id": "{event_id}"}),
    Row("DELETE /api/waitlist/<int:event_id>", "a place", OWNER, 202, 409),  # they wait for nothing
    Row("DELETE /api/waitlist/<int:event_id>", "a draft", NONE, 202, 404),
    Row("POST /api/waitlist/offers/<uuid:offer_id>/accept", "an offer", OWNER, 202, 404),
    Row("POST /api/waitlist/offers/<uuid:offer_id>/decline", "an offer", OWNER, 202, 404),
)  # fmt: skip

FOLLOWING: Final = (
    Row("GET /api/hosts/<int:host_id>", "a host", EVERYBODY, 200),
    Row("POST /api/hosts/<int:host_id>/follow", "a host", KNOWN, 200),
    Row("DELETE /api/hosts/<int:host_id>/follow", "a host", KNOWN, 204),
    Row("GET /api/following", "nothing", KNOWN, 200),
    Row("GET /api/interests", "nothing", KNOWN, 200),
    Row(f"POST {EVENT}/interest", "an event to come", KNOWN, 200),
    Row(f"DELETE {EVENT}/interest", "an event to come", KNOWN, 204),
    Row(f"POST {EVENT}/interest", "a draft", MANAGERS, 200, 404),
    Row(f"DELETE {EVENT}/interest", "a draft", MANAGERS, 204, 404),
    Row("GET /api/notifications", "nothing", KNOWN, 200),
    Row("POST /api/notifications/<uuid:notification_id>/read", "a notification", OWNER, 200, 404),
    Row("POST /api/notifications/read-all", "nothing", KNOWN, 200),
)  # fmt: skip

ADMIN: Final = (
    Row("GET /api/admin/queue/stats", "nothing", ADMINS, 200),
    Row("GET /api/admin/queue/details", "nothing", ADMINS, 200),
    Row("GET /api/admin/queue/jobs/<uuid:job_id>", "a request", ADMINS, 200),
    Row("POST /api/admin/queue/pause", "nothing", ADMINS, 200),
    Row("POST /api/admin/queue/resume", "nothing", ADMINS, 200),
    Row("POST /api/admin/queue/clean", "nothing", ADMINS, 200, body={"state": "failed"}),
    Row("POST /api/admin/queue/drain", "an event", ADMINS, 200,
        body={"event_id": "{event_id}", "reason": "wrong price"}),
    Row("GET /api/admin/tasks", "nothing", ADMINS, 200),
    Row("POST /api/admin/tasks/<task_id:task_id>/retry", "a failed task", ADMINS, 200),
    Row("DELETE /api/admin/tasks/<task_id:task_id>", "a failed task", ADMINS, 204),
    Row("GET /api/admin/dashboard", "nothing", ADMINS, 200),
    Row("GET /api/admin/analytics", "nothing", ADMINS, 200),
    Row("GET /api/admin/events", "nothing", ADMINS, 200),
    Row("GET /api/admin/audit-log", "nothing", ADMINS, 200),
    Row("GET /api/admin/health", "nothing", ADMINS, 200),
    Row("GET /api/monitoring/sync-status", "nothing", ADMINS, 200),
)  # fmt: skip

PUBLIC: Final = (
    *(
        Row(f"GET {path}", "nothing", EVERYBODY, 200)
        for path in (
            *("/healthz", "/api/health", "/api/health/live", "/openapi.json", "/docs", "/problems"),
            *("/.well-known/api-catalog", "/login/console.css"),
        )
    ),
    Row("GET /readyz", "nothing", EVERYBODY, 503),  # no worker runs here
    Row("GET /api/health/ready", "nothing", EVERYBODY, 503),
    Row("GET /metrics", "nothing", EVERYBODY, 200),  # from this machine
    Row("GET /docs/<asset>", "an asset", EVERYBODY, 200),
    Row("GET /problems/<code>", "a problem", EVERYBODY, 200),
)

# The console knows its own cookie and nothing else; changes need the page's token besides.
THE_CONSOLE: Final = (
    Row("GET /login", "nothing", EVERYBODY, 200, but={Who.CONSOLE: 303}),
    Row("POST /login", "nothing", NONE, 303, 403, unknown=403,
        but=dict.fromkeys(BAD_BEARERS, 403)),
    Row("POST /logout", "nothing", NONE, 303, 403, unknown=403, but=dict.fromkeys(BAD_BEARERS, 403)),
    Row("GET /rq/console.js", "nothing", CONSOLE, 200, 401),
    Row("GET /rq/", "nothing", CONSOLE, 200, 401),
    Row("GET /rq/<path:path>", "a page of the console", CONSOLE, 200, 401),
    *(
        Row(f"{method} {rule}", of, NONE, 200, 401, but={Who.CONSOLE: 403})
        for method in ("POST", "PUT", "PATCH", "DELETE")
        for rule, of in (("/rq/", "nothing"), ("/rq/<path:path>", "a page of the console"))
    ),
)  # fmt: skip

TABLE: Final = (
    *(ACCOUNTS + ORGANIZATIONS + EVENTS + BOOKINGS + WAITING + FOLLOWING + ADMIN),
    *(PUBLIC + THE_CONSOLE),
)

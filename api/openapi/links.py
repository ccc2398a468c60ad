"""Where an answer leads: the calls that usually come next, and what of the answer they are about.

`tests/contract/test_links.py` follows each of them; the stateful calls of `test_schemathesis.py` follow chains.
"""

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Link:
    """A call that may come next: its operation, and the parameter that a value of the answer stands for."""

    operation_id: str
    parameter: str
    expression: str
    description: str

    def document(self) -> dict[str, Any]:
        """As OpenAPI spells it."""
        return {
            "operationId": self.operation_id,
            "parameters": {self.parameter: self.expression},
            "description": self.description,
        }


def _body(pointer: str) -> str:
    return f"$response.body#/{pointer}"


def _job(pointer: str) -> dict[str, Link]:
    """What can be done with a request that stands in the line."""
    job_id = _body(pointer)
    return {
        "status": Link("requests_poll", "job_id", job_id, "Where the request stands, or what came of it."),
        "stream": Link("requests_stream", "job_id", job_id, "The same, told as it happens."),
        "withdraw": Link("requests_withdraw", "job_id", job_id, "Leaves the line."),
    }


def _booking(pointer: str) -> dict[str, Link]:
    """What can be done with a booking."""
    booking_id = _body(pointer)
    return {
        "booking": Link("bookings_read", "booking_id", booking_id, "The booking."),
        "cancel": Link("bookings_cancel", "booking_id", booking_id, "Gives the tickets back."),
    }


def _event(pointer: str) -> dict[str, Link]:
    """What its host does with an event, and what anybody does."""
    event_id = _body(pointer)
    return {
        "show": Link("events_show", "event_id", event_id, "The event as it is now."),
        "replace": Link("events_replace", "event_id", event_id, "Changes it whole."),
        "change": Link("events_change", "event_id", event_id, "Changes a part of it."),
        "delete": Link("events_delete", "event_id", event_id, "Hides it."),
        "stats": Link("event_stats_show_stats", "event_id", event_id, "How it sells."),
        "slots": Link("event_slots_show_slots", "event_id", event_id, "What is left."),
        "book": Link("bookings_book", "event_id", event_id, "Asks for tickets."),
    }


def _organization(pointer: str) -> dict[str, Link]:
    organization_id = _body(pointer)
    about: dict[str, tuple[str, str]] = {
        "show": ("organizations_show", "The organization as it is now."),
        "change": ("organizations_change", "Changes a part of it."),
        "members": ("organization_members_members", "Who belongs to it."),
        "add_member": ("organization_members_add", "Takes somebody in."),
        "delete": ("organizations_delete", "Deletes it."),
    }
    return {
        name: Link(target, "organization_id", organization_id, text) for name, (target, text) in about.items()
    }


_LEAVE: Final = Link("waitlist_leave_waitlist", "event_id", _body("event_id"), "Waits no more.")
_READ: Final = Link("notifications_read", "notification_id", _body("items/0/id"), "Marks the first as read.")

_BOOKED: Final = {
    200: {"leave": _LEAVE},
    201: {**_booking("booking/id"), "status": _job("job_id")["status"]},
    202: _job("job_id"),
}

# Operation → status → name → where it leads.
LINKS: Final[dict[str, dict[int, dict[str, Link]]]] = {
    "bookings_book": _BOOKED,
    "bookings_book_event": _BOOKED,
    "bookings_register": _BOOKED,
    "bookings_history": {200: _booking("items/0/id")},
    "requests_poll": {200: _booking("booking/id")},
    "waitlist_join_waitlist": {200: {"leave": _LEAVE}, 202: {**_job("job_id"), "leave": _LEAVE}},
    "waitlist_accept_offer": {201: _booking("booking/id")},
    "events_create": {201: _event("id")},
    "events_list_all": {200: {name: _event("items/0/id")[name] for name in ("show", "slots", "book")}},
    "organizations_create": {201: _organization("id")},
    "notifications_list_own": {200: {"read": _READ}},
}


def add_links(paths: dict[str, Any]) -> None:
    """Gives the answers of the document's operations their links."""
    for item in paths.values():
        for operation in item.values():
            for status, links in LINKS.get(operation["operationId"], {}).items():
                response = operation["responses"][str(status)]
                response["links"] = {name: link.document() for name, link in links.items()}

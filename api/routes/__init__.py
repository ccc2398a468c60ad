"""HTTP routes: one file per noun, each about ten lines a view."""

from typing import Final

from flask import Blueprint

from api.routes import (
    accounts,
    bookings,
    event_bookings,
    event_decisions,
    event_slots,
    events,
    health,
    requests,
    users,
)

ROOT_ROUTES: Final[tuple[Blueprint, ...]] = (health.blueprint,)

# Under /api.
API_ROUTES: Final[tuple[Blueprint, ...]] = (
    accounts.blueprint,
    users.blueprint,
    events.blueprint,
    event_slots.blueprint,
    event_bookings.blueprint,
    event_decisions.blueprint,
    requests.blueprint,
    bookings.blueprint,
)

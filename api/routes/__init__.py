"""HTTP routes: one file per noun, each about ten lines a view."""

from typing import Final

from flask import Blueprint

from api.routes import (
    account_export,
    accounts,
    admin_analytics,
    admin_audit_log,
    admin_drain,
    admin_health,
    admin_queue,
    admin_tasks,
    api_catalog,
    bookings,
    docs,
    event_bookings,
    event_decisions,
    event_line,
    event_slots,
    event_stats,
    event_waitlist,
    events,
    follows,
    health,
    hosts,
    interests,
    metrics,
    monitoring,
    notifications,
    openapi,
    organization_members,
    organizations,
    problem_pages,
    requests,
    users,
    waitlist,
)

ROOT_ROUTES: Final[tuple[Blueprint, ...]] = (
    health.blueprint,
    metrics.blueprint,
    openapi.blueprint,
    docs.blueprint,
    problem_pages.blueprint,
    api_catalog.blueprint,
)

# Under /api.
API_ROUTES: Final[tuple[Blueprint, ...]] = (
    accounts.blueprint,
    account_export.blueprint,
    users.blueprint,
    organizations.blueprint,
    organization_members.blueprint,
    events.blueprint,
    event_slots.blueprint,
    event_stats.blueprint,
    event_bookings.blueprint,
    event_decisions.blueprint,
    event_line.blueprint,
    event_waitlist.blueprint,
    interests.blueprint,
    hosts.blueprint,
    follows.blueprint,
    requests.blueprint,
    bookings.blueprint,
    waitlist.blueprint,
    notifications.blueprint,
    admin_analytics.blueprint,
    admin_queue.blueprint,
    admin_drain.blueprint,
    admin_tasks.blueprint,
    admin_audit_log.blueprint,
    admin_health.blueprint,
    monitoring.blueprint,
)

"""What the groups of the document are about."""

from typing import Final

TAGS: Final[dict[str, str]] = {
    "Accounts": "Registering, logging in and out, one's own profile, password and account.",
    "Users": "Accounts by id, for themselves and for admins.",
    "Organizations": "Who stands behind events, and who manages them together.",
    "Events": "What people attend: listed, shown, made, changed, called off, hidden.",
    "Bookings": "Standing in line for tickets, cancelling, and the bookings that came of it.",
    "Waitlist": "Waiting for tickets that others give back: places, offers, answers to them.",
    "Requests": "Following a request in the line: its place, its decision, its stream; leaving the line.",
    "Following": "Being told when a sale opens, and of new events; hosts, as everybody sees them.",
    "Notifications": "What one is told: bookings, offers, changes, sales that open.",
    "Ledger": "Every decision of an event, in order and hash-chained, for anybody to check.",
    "Analytics": "Figures from roll-ups: of an event for who manages it, of everything for admins.",
    "Audit log": "What admins, hosts and commands changed, for admins to read.",
    "Queue": "Watching and steering the line, for admins; and an event's own line, for its host.",
    "Tasks": "Background tasks that failed, for admins.",
    "Health": "Whether this process is alive, and whether bookings can be accepted and decided.",
    "Console": "Signing in to rq-dashboard at `/rq`, for admins at a browser.",
    "Contract": "This contract: its document, its pages, its problem codes.",
}

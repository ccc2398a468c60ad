"""What to do about each problem code, said to the person who reads `/problems/<code>`."""

from typing import Final

ADVICE: Final[dict[str, str]] = {
    "malformed_json": "Mend the body: it must be one JSON object in UTF-8, with no member twice.",
    "bad_request": "Look at `detail`: a header, the address or a parameter has a form that is not accepted.",
    "unauthenticated": "Log in, or get a new access token with the refresh token, and send it as a bearer.",
    "invalid_credentials": "Check the address and the password. Repeated failures slow further tries down.",
    "console_session_required": "Sign in at `/login` with an admin's account. Access tokens do not open the console.",
    "cross_site": "Open the page again and repeat it there. It must be sent by this site's own page, within its time.",
    "console_read_only": (
        "Booking requests are never changed from the console. Background tasks are, where the setting "
        "GUICHET_CONSOLE_WRITABLE allows it."
    ),
    "forbidden": "Ask with an account whose role may do this.",
    "not_found": "Check the address against the contract; ids must be numbers or UUIDs as it says.",
    "event_not_found": "Check the event's id. It may have been removed, or be a draft of somebody else's.",
    "booking_not_found": "Check the booking's id or reference, and that you are signed in as its owner.",
    "job_not_found": "Check the job id, and that you are signed in as the one who asked.",
    "notification_not_found": "Check the notification's id, and that you are signed in as who was told.",
    "task_not_found": "Look at the list of failed tasks; a booking request is none, its decision is final.",
    "host_not_found": "Check the id: it is that of `host` in an event. The account may have been closed.",
    "user_not_found": "Check the user's id. Only admins see accounts other than their own.",
    "organization_not_found": "Check the organization's id. Who belongs to it is shown to its members and admins only.",
    "member_not_found": "Look at the list of its members.",
    "method_not_allowed": "Use one of the methods in the Allow header.",
    "email_taken": "Log in to that account, or use another address.",
    "sales_open": "Book a ticket now: there is nothing to wait for.",
    "own_host": "Follow another host.",
    "last_admin": "Make somebody else an admin on the server (`guichet create-admin`), then repeat it.",
    "capacity_below_committed": "Choose a capacity of at least `booked`, or wait for cancellations.",
    "event_has_bookings": "Call the event off by setting its status to cancelled; every booking is cancelled then.",
    "event_code_taken": "Choose another code, or leave it out.",
    "last_owner": "Make another member an owner first, or delete the organization.",
    "organization_has_events": "Take its events out of it (`organization_id`: null) or delete them first.",
    "too_many_organizations": "Leave one of them first.",
    "event_over": "Nothing: its history stays as it is. Make a new event.",
    "already_decided": "Read the decision in `job`; a confirmed booking can be cancelled instead.",
    "task_not_failed": "Only failed tasks can be run again or dropped; look at the list of them.",
    "not_withdrawable": "Wait for its decision.",
    "precondition_failed": "Read it again, apply your change to what stands there now, and send the new ETag.",
    "payload_too_large": "Send less: no body needs more than 64 KiB.",
    "unsupported_media_type": "Send `Content-Type: application/json`.",
    "validation_failed": "Mend each field that `errors` names and send it again.",
    "idempotency_key_reused": "Use a new key for a new request; repeat a request with exactly its own payload.",
    "rate_limited": "Wait for as many seconds as Retry-After says, then go on more slowly.",
    "too_many_undecided": "Follow the requests that you have in the line; ask again when one is decided.",
    "login_throttled": "Wait for as many seconds as Retry-After says, then make sure of the password.",
    "internal_error": "Try again. If it stays, report the request id to whoever runs this installation.",
    "accept_unknown": (
        "Ask at `links.status` whether it stands in the line, or repeat it with the same Idempotency-Key: "
        "it is accepted once at most."
    ),
    "line_busy": "Try again. If it stays so, look at what locks the events: the problems in the line's stats say more.",
    "line_full": "Wait for as many seconds as Retry-After says and ask again. Nothing was accepted.",
    "line_unavailable": "Wait for as many seconds as Retry-After says and ask again. Nothing was accepted.",
    "outcome_unknown": (
        "Wait for as many seconds as Retry-After says, look whether the change was made, and repeat it if not: that "
        "does no harm. The audit log has it as `outcome: unknown`."
    ),
    "database_unavailable": (
        "Wait for as many seconds as Retry-After says. After a change, read whether it was made before you repeat it."
    ),
    "overloaded": "Wait for as many seconds as Retry-After says and try again.",
    "account_closed": "Nothing: a closed account takes part in nothing any more.",
    "already_booked": "Use the booking that you have, or cancel it first: an account has one per event.",
    "already_cancelled": "Nothing: it is cancelled, and its tickets went back.",
    "already_waiting": "Wait: you are offered tickets in the order of joining. To ask for another number, leave first.",
    "cancellation_closed": "Ask the event's host, who can cancel it still.",
    "event_cancelled": "Nothing: no tickets are given out, and every booking of it is cancelled.",
    "event_started": "Nothing: nobody books an event that has begun.",
    "not_enough_left": "Ask for at most `available` tickets.",
    "request_failed": "Ask again. If it stays, report the job id to whoever runs this installation.",
    "sales_closed": "Nothing can be bought any more; ask the event's host.",
    "sales_not_open": "Come back at `opens_at`.",
    "sales_paused": "Come back later: the host opens sales again.",
    "not_waiting": "Nothing: you are on no list, and hold no offer.",
    "offer_ended": "Look at your waitlist entry: `offer_status` says how the offer ended.",
    "offer_expired": "Join the waitlist again; an offer is good until `expired_at`.",
    "offer_not_due": "Nothing: the offer still holds its tickets.",
    "offer_not_found": "Look at your waitlist entries: an offer is its entry's alone.",
    "sold_out": "Join the waitlist: tickets that are given back are offered to who waits first.",
    "tickets_available": "Book them: at most `available` tickets.",
    "waitlist_disabled": "Look again later: cancelled tickets go back on sale.",
    "too_many_tickets": "Ask for at most `max_per_booking` tickets.",
    "withdrawn_by_admin": "`admin_reason` says why. If sales are open, ask again: you get a new place in the line.",
    "withdrawn_by_user": "Ask again if you want tickets after all: you get a new place in the line.",
}

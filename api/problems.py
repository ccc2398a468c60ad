"""Error code → RFC 9457 problem document: the one table that knows HTTP statuses."""

from shared.domain.outcomes import REASONS

MEDIA_TYPE = "application/problem+json"

# code → (status, what it means to a person). A reason of a decision is 409 unless it stands here.
PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not valid JSON."),
    "bad_request": (400, "The request is not valid HTTP or misuses a header or parameter."),
    "unauthenticated": (401, "The access token is missing, malformed, expired or revoked."),
    "invalid_credentials": (401, "The e-mail address or the password is wrong."),
    "console_session_required": (401, "The console is for admins who have signed in at /login."),
    "forbidden": (403, "Your role may not do this."),
    "cross_site": (403, "The browser did not send this from one of our own pages."),
    "console_read_only": (403, "The console only shows this; it does not change it."),
    "not_found": (404, "There is nothing at this address."),
    "event_not_found": (404, REASONS["event_not_found"]),
    "booking_not_found": (404, REASONS["booking_not_found"]),
    "offer_not_found": (404, REASONS["offer_not_found"]),
    "job_not_found": (404, "There is no such request."),
    "notification_not_found": (404, "There is no such notification."),
    "task_not_found": (404, "There is no such background task."),
    "host_not_found": (404, "There is no such host."),
    "user_not_found": (404, "There is no such user."),
    "organization_not_found": (404, "There is no such organization, or its members are not yours to see."),
    "member_not_found": (404, "The organization has no such member."),
    "method_not_allowed": (405, "This address does not take this method; see Allow."),
    "sales_open": (409, "Sales are open already; book instead."),
    "own_host": (409, "Nobody follows themselves."),
    "last_admin": (409, "This is the only admin; make another one first."),
    "email_taken": (409, "An account with this e-mail address exists."),
    "capacity_below_committed": (409, "More tickets are booked or offered than the new capacity has."),
    "event_has_bookings": (
        409,
        "The event has live bookings, or somebody waits for tickets; call it off instead.",
    ),
    "event_code_taken": (409, "Another event has this code."),
    "last_owner": (409, "This is the organization's last owner; it keeps one."),
    "organization_has_events": (409, "The organization has events; it cannot be deleted."),
    "too_many_organizations": (409, "The user belongs to as many organizations as one may."),
    "event_over": (409, "The event is called off or over; it can no longer be changed."),
    "already_decided": (409, "The request was already taken for its decision, which stands."),
    "not_withdrawable": (409, "Only a request to book or to wait can leave the line."),
    "task_not_failed": (409, "The background task has not failed; it waits, runs or is done."),
    "precondition_failed": (412, "Somebody changed it since you read it; read it again."),
    "payload_too_large": (413, "The body is larger than 64 KiB."),
    "unsupported_media_type": (415, "The body must be application/json."),
    "validation_failed": (422, "The request has fields that are not accepted; `errors` says which and why."),
    "idempotency_key_reused": (422, "This Idempotency-Key was used for another request."),
    "rate_limited": (429, "Too many requests; see Retry-After."),
    "too_many_undecided": (
        429,
        "You have too many undecided requests in the line; wait for one to be decided.",
    ),
    "login_throttled": (429, "Too many failed log-ins; see Retry-After."),
    "internal_error": (500, "Something went wrong on our side. The request id finds it in the logs."),
    "accept_unknown": (
        503,
        "The line did not answer in time: the request may stand in it. Ask, or repeat it.",
    ),
    "line_busy": (503, "A batch is being decided for too long; nothing was changed. Try again."),
    "line_full": (503, "The line is full; try again in a moment."),
    "line_unavailable": (503, "The line cannot take requests right now; nothing was accepted."),
    "outcome_unknown": (
        503,
        "The line did not answer in time: the change may have been made. Look, or repeat it.",
    ),
    "database_unavailable": (
        503,
        "The database cannot be reached right now. If this was a change, look whether it was made, or repeat it.",
    ),
    "overloaded": (503, "Too much of this at once; try again in a moment."),
}
for _reason, _meaning in REASONS.items():
    PROBLEMS.setdefault(_reason, (409, _meaning))

"""When somebody may ask to be told of the opening of a sale."""

from datetime import datetime

from shared.clock import rfc3339
from shared.domain.events import CANCELLED, DRAFT
from shared.errors import RefusedError


def check_interest(
    *,
    status: str,
    sales_open_at: datetime | None,
    sales_close_at: datetime,
    sales_paused: bool,
    now: datetime,
) -> None:
    """Raises RefusedError unless the sale is still to open, for the first time or after a pause by its host:
    `event_cancelled`, `sales_closed` (over, too), `sales_open`: nobody would be told any more.
    """
    if status == CANCELLED:
        raise RefusedError("event_cancelled")
    if now >= sales_close_at:
        raise RefusedError("sales_closed", closed_at=rfc3339(sales_close_at))
    is_to_open = sales_paused or (sales_open_at is not None and now < sales_open_at)
    if status != DRAFT and not is_to_open:
        raise RefusedError("sales_open")

"""The function that booking jobs name, so that RQ's tools can show it. Nobody runs a booking singly."""

from typing import NoReturn


def decide(**payload: object) -> NoReturn:
    """Refuses: bookings are decided in batches, in order, by `python -m worker bookings` only."""
    raise RuntimeError(
        f"a booking request is decided by a booking worker, not run as a job: {sorted(payload)}"
    )

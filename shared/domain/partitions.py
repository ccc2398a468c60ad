"""Which line an event's requests stand in."""

QUEUE_PREFIX = "bookings-"


def partition_of(event_id: int, partitions: int) -> int:
    """The partition of an event: all its requests stand in one line, so that they have one order."""
    return event_id % partitions


def queue_name(partition: int) -> str:
    """The RQ queue of a partition."""
    return f"{QUEUE_PREFIX}{partition}"

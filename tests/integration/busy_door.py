"""A process of greenlets one of which never lets go, as all of them together at the limit of a process' CPU.

`python -m tests.integration.busy_door DATABASE_URL EVENT_ID`: says `ready` once it knows the event, and `shut` once its
door is; until then nothing else runs on its hub.
"""

import sys
import time

from gevent import monkey

GIVES_UP_SECONDS = 60.0


def main(database_url: str, event_id: int) -> int:
    """0 when the door shut, 1 when it never did."""
    from shared.db import make_engine, wait_with_greenlets
    from shared.services.event_snapshots import EventSnapshots

    wait_with_greenlets()
    snapshots = EventSnapshots(make_engine(database_url, pool_size=1))
    snapshots.find(event_id)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    deadline = time.monotonic() + GIVES_UP_SECONDS
    while time.monotonic() < deadline:
        found = snapshots.find(event_id)
        if found is not None and found.door(sold_out_door=True).verdict == "sold_out":
            sys.stdout.write("shut\n")
            return 0
    return 1


if __name__ == "__main__":
    monkey.patch_all()
    sys.exit(main(sys.argv[1], int(sys.argv[2])))

"""Who typed a command: the account on the server, for the audit log. Commands have no admin behind them."""

import os
import pwd
import socket


def caller() -> str:
    """`<account>@<host>`. The account is the one that the process runs as, not what the environment claims; by its
    number where it has no name, as in a container.
    """
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    # Neither has to be UTF-8, which is all that PostgreSQL stores.
    return f"{name}@{socket.gethostname()}".encode(errors="backslashreplace").decode()

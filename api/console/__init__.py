"""The console: rq-dashboard at `/rq` for signed-in admins, and the page where they sign in.

Who comes from outside passes, in this order: `sessions` (an admin's cookie, looked up in the database each time),
`origins` (changes come from our own pages), `rules` (which of rq-dashboard's addresses exist at all), and only
then `dashboard`, an application of its own whose Redis client cannot write. `PITFALLS` of rq-dashboard 0.9 and
what stops each are listed in docs/operating.md.
"""

from typing import Final

from flask import Flask

from api.console import login, mount

# Endpoints that hand over to rq-dashboard; the contract does not describe what is behind them.
FOREIGN_ENDPOINT_PREFIX: Final = f"{mount.blueprint.name}."


def init_console(app: Flask) -> None:
    """Adds `/login`, `/logout` and `/rq`. rq-dashboard itself is imported at the first visit: 5 MB and a
    quarter of a second that most processes never need.
    """
    app.register_blueprint(login.blueprint)
    app.register_blueprint(mount.blueprint)

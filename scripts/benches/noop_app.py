"""The least that Flask can do, under the API's own gunicorn configuration: what the API is compared with."""

from flask import Flask


class _Nothing:
    """Stands where gunicorn's configuration expects the API's objects."""

    def start(self) -> None:
        """Has no threads."""

    def close(self) -> None:
        """Has no connections."""


app = Flask("noop", static_folder=None)
app.extensions["guichet"] = _Nothing()


@app.get("/noop")
def noop() -> tuple[str, int]:
    """Nothing."""
    return "ok", 200

"""The least that Flask can do, under the API's own gunicorn configuration: what the API is compared with."""

from flask import Flask

app = Flask("noop", static_folder=None)


@app.get("/noop")
def noop() -> tuple[str, int]:
    """Nothing."""
    return "ok", 200

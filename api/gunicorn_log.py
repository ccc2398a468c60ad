"""gunicorn's logger without its access log: api/access_log.py writes one."""

from gunicorn.glogging import Logger


class ErrorLogger(Logger):
    """Writes gunicorn's own errors, and nothing about requests.

    `accesslog = None` does not do that: with a `logconfig_dict` gunicorn gathers forty facts about each answer for a
    logger that throws them away.
    """

    def access(self, *_about: object) -> None:
        """Writes nothing."""

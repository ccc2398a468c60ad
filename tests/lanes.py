"""Somebody who does everything twice: by the express lane, and past it."""

import re
from collections.abc import Callable

from werkzeug.test import TestResponse

from tests.factories import auth_header, make_user

# A header that asks for nothing, and that makes a request unusual.
PAST_THE_LANE = {"Upgrade": "nothing"}
_OWN = (
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\b[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "INSTANT"),
    (re.compile(r"token=[0-9a-f]+\.\w+"), "token=TOKEN"),
    (
        re.compile(r'"(arrival|position|decision_number|eta_seconds|user_id|available_slots)":[\d.]+'),
        r'"\1":0',
    ),
    (re.compile(r'"reference":"[^"]+"'), '"reference":"REFERENCE"'),
    (re.compile(r'^(?:W/)?"[0-9a-f]{24}"$'), "TAG"),
)


class Somebody:
    """Who does the same twice, once as everybody does and once past the lane."""

    def __init__(self, app, engine, seen: list[str]) -> None:
        self.app, self.engine, self.seen = app, engine, seen

    def both(self, ask: Callable[[dict[str, str]], TestResponse]) -> TestResponse:
        """What the lane answers to a user, after it was compared with what Flask answers to another. `ask` is given
        the token's header, and what else there is.
        """
        answers = []
        for more in ({}, PAST_THE_LANE):
            del self.seen[:]
            answers.append(ask({**auth_header(self.app, make_user(self.engine)), **more}))
            assert len(self.seen) == len(more), (
                "the lane answers, and only the request without anything unusual"
            )
        lane, flask = map(described, answers)
        assert lane == flask
        return answers[0]


def described(answer: TestResponse) -> tuple[str, dict[str, str], str]:
    """An answer without what belongs to one request."""
    headers = {name: anonymous(value) for name, value in answer.headers.items()}
    assert len(headers) == len(list(answer.headers))
    headers.pop("Content-Length", None)  # a number may be longer than another
    return answer.status, headers, anonymous(answer.get_data(as_text=True))


def anonymous(text: str) -> str:
    """What an answer says, without its ids, instants and numbers of its own."""
    for pattern, name in _OWN:
        text = pattern.sub(name, text)
    return text

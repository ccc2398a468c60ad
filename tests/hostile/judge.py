"""What is wrong with one answer: to its request, by the document, and by what it left behind."""

import re
from typing import Any

import orjson
from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from api.openapi.document import build_document
from api.openapi.operations import address_of
from api.problems import MEDIA_TYPE, PROBLEMS
from tests.hostile.request import HostileAnswer, HostileRequest

# What only our inside knows: words of tracebacks, of drivers, of SQL, of this machine.
_INSIDE = re.compile(
    rb"Traceback|psycopg2|sqlalchemy|redis\.exceptions|werkzeug|marshmallow|site-packages|\.py\\?\"|line \d+, in |<class |object at 0x"
    rb"|LINE \d+:|violates|invalid input syntax|relation \\?\"|DETAIL:|codec can|NoneType|KeyError|ValueError",
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_FIELD = re.compile(r"[A-Za-z0-9-]+:[\t -~\x80-\xff]*")  # RFC 9110
_SEARCHED_BYTES = 20_000  # the document and its page name libraries
_MEMBERS = {"type", "title", "status", "detail", "code", "instance", "request_id"}
# Who addresses nobody's address, or with another's method.
_STRAY = {400, 404, 405, 413}
# Refusals that are meant to leave something: failed log-ins are counted, tokens that leaked are revoked.
_MEANT = {
    ("accounts_log_in", 401): {"insert login_failures"},
    ("accounts_change_password", 401): {"insert login_failures"},
    ("accounts_close_own_account", 401): {"insert login_failures"},
    ("console_log_in", 401): {"insert login_failures"},
    # What an admin asks for about somebody else's booking is noted before it is asked of the line.
    ("bookings_cancel", 422): {"insert audit_log"},
    ("bookings_cancel_delete_bookings", 422): {"insert audit_log"},
}
SAFE = {"GET", "HEAD", "OPTIONS"}


class Judge:
    """Knows the document of an application, and holds answers against it."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.document: dict[str, Any] = orjson.loads(orjson.dumps(build_document(app, base_url="")))
        self._answers = {
            (path, method.upper()): {
                int(status): self._content(response) for status, response in operation["responses"].items()
            }
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
        }

    def _content(self, response: dict[str, Any]) -> tuple[set[str], set[str]]:
        """The media types of a response, and the codes of its problems."""
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        content = response.get("content", {})
        return set(content), set(content.get(MEDIA_TYPE, {}).get("examples", ()))

    def find_faults(self, request: HostileRequest, answer: HostileAnswer, written: list[str]) -> list[str]:
        """Everything that is wrong, in words that are the same for the same fault."""
        address, operation_id = self._route(request)
        faults = [*self._faults_of_status(request, answer, address), *_faults_of_headers(answer)]
        if _INSIDE.search(answer.body[:_SEARCHED_BYTES]):
            faults.append("tells of the inside")
        if request.method == "HEAD":
            faults += ["a body for HEAD"] if answer.body else []
        elif answer.status >= 400:
            faults += _faults_of_problem(answer)
        meant = _MEANT.get((operation_id, answer.status), set())
        if left := set(written) - meant:
            if is_refusal(answer):
                faults.append(f"{answer.status} has written: {sorted(left)}")
            elif request.method in SAFE:
                faults.append(f"{request.method} has written: {sorted(left)}")
        return faults

    def _faults_of_status(
        self, request: HostileRequest, answer: HostileAnswer, address: str | None
    ) -> list[str]:
        status = answer.status
        method = "GET" if request.method == "HEAD" else request.method.upper()
        if address is not None and address.startswith("/rq"):
            return [] if status < 500 else [f"{status} of the console"]
        if request.method == "OPTIONS":
            return [] if status in {200, 400, 404} else [f"{status} for OPTIONS"]
        known = self._answers.get((address or "", method))
        if known is None:
            stray = status in _STRAY and (
                answer.get("Content-Type") == MEDIA_TYPE or request.method == "HEAD"
            )
            return [] if stray else [f"{status} of nobody's address"]
        if status not in known or status == 500:
            return [f"{status} is not in the document"]
        media_types, codes = known[status]
        media_type = (answer.get("Content-Type") or "").partition(";")[0]
        faults = []
        if answer.body and media_type not in media_types:
            faults.append(f"{status} as {media_type!r}, which is not in the document")
        if answer.body and media_type == MEDIA_TYPE:
            code = orjson.loads(answer.body).get("code")
            faults += [] if code in codes else [f"{status} {code} is not in the document"]
        return faults

    def _route(self, request: HostileRequest) -> tuple[str | None, str]:
        """The document's address that answers, and its operation; None for nobody's."""
        environ = request.environ()
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        method = request.method.upper()
        try:
            rule, _ = self._app.url_map.bind("localhost").match(path, method=method, return_rule=True)
        except (MethodNotAllowed, RequestRedirect, HTTPException):
            return None, ""
        address = address_of(rule)
        item = self.document["paths"].get(address, {})
        operation = item.get("get" if method == "HEAD" else method.lower(), {})
        return address, operation.get("operationId", "")


def is_refusal(answer: HostileAnswer) -> bool:
    """Whether nothing may have happened: not where a decision of the line is told, which has its row in the ledger."""
    if answer.status < 400 or answer.status >= 500:
        return answer.status >= 500
    return not (answer.status == 409 and b'"job":{' in answer.body)


def _faults_of_headers(answer: HostileAnswer) -> list[str]:
    faults = []
    request_id = answer.get("X-Request-ID")
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        faults.append("no X-Request-ID")
    for name, value in answer.headers:
        if not _FIELD.fullmatch(f"{name}:{value}"):
            faults.append(f"a header that HTTP does not know: {name}")
    location = answer.get("Location")
    if location is not None and not re.match(r"/(?!/)", location):
        faults.append("a Location elsewhere")
    if answer.get("X-Content-Type-Options") != "nosniff":
        faults.append("no X-Content-Type-Options")
    return faults


def _faults_of_problem(answer: HostileAnswer) -> list[str]:
    if answer.get("Content-Type") != MEDIA_TYPE:  # a document of the route's own, such as what is not ready
        return []
    try:
        problem = orjson.loads(answer.body)
    except ValueError:
        return ["a problem that is not JSON"]
    faults = []
    if missing := _MEMBERS - problem.keys():
        faults.append(f"a problem without {sorted(missing)}")
    if problem.get("code") not in PROBLEMS:
        faults.append(f"a problem of no known code: {problem.get('code')!r}")
    if problem.get("status") != answer.status:
        faults.append("a problem of another status")
    if problem.get("request_id") != answer.get("X-Request-ID"):
        faults.append("a problem of another request")
    if answer.status == 401 and not answer.get("WWW-Authenticate"):
        faults.append("401 without WWW-Authenticate")
    if answer.status == 405 and answer.get("Allow") is None:
        faults.append("405 without Allow")
    if answer.status in {429, 503} and answer.get("Retry-After") is None:
        faults.append(f"{answer.status} without Retry-After")
    if answer.status == 422 and problem.get("code") == "validation_failed" and not problem.get("errors"):
        faults.append("422 that does not say what")
    return faults

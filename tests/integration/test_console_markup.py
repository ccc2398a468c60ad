"""Text out of Redis stays text: in pages, in JSON, in addresses, and for the browser by the pages' policy."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from tests.console_calls import PAGE, READS, addresses, plant_everywhere, plant_job, signed_in

MARK = "<script>alert(1)</script>"
# What has broken out of HTML, attributes, scripts and JSON elsewhere.
ATTACKS = (
    MARK,
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "\\');alert(1)//",
    "</script><svg onload=alert(1)>",
    "<%= alert(1) %>",
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "\u2028\u2029<!--",
)
QUEUE = "bookings-1"


@pytest.fixture
def browser(app, engine):
    return signed_in(app, engine)


def plant(redis, attack, *, queue=QUEUE, job_id="job-1", status=None):
    """The attack in every field that a page shows."""
    plant_everywhere(redis, job_id, queue, score=9e9)
    plant_everywhere(redis, attack, queue, score=9e9)
    plant_job(
        redis,
        job_id,
        queue,
        status=status or attack,
        origin=attack,
        description=attack,
        data=json.dumps([attack, None, [attack], {attack: attack}]).encode(),
        meta=json.dumps({attack: attack}).encode(),
        exc_info=zlib.compress(attack.encode()),
        dependency_ids=json.dumps([attack]),
    )
    redis.sadd(f"rq:job:{job_id}:dependencies", attack)
    redis.xadd(
        f"rq:results:{job_id}",
        {
            "type": "2",
            "worker_name": attack,
            "return_value": base64.b64encode(json.dumps({attack: attack}).encode()),
            "exc_string": base64.b64encode(zlib.compress(attack.encode())),
        },
    )
    redis.sadd("rq:queues", f"rq:queue:{attack}")
    redis.sadd("rq:workers", f"rq:worker:{attack}")
    redis.hset(
        f"rq:worker:{attack}",
        mapping={
            "state": attack,
            "queues": attack,
            "current_job": job_id,
            "version": attack,
            "python_version": attack,
        },
    )


def strings(document):
    """Every string of a JSON document, names of members included."""
    if isinstance(document, dict):
        document = [*document.keys(), *document.values()]
    if isinstance(document, list):
        return [text for each in document for text in strings(each)]
    return [document] if isinstance(document, str) else []


class TestPlantedText:
    def test_is_nowhere_in_an_answer_as_it_is(self, browser, redis_client):
        for attack in ATTACKS:
            redis_client.flushall()
            plant(redis_client, attack)
            shown = 0
            for address in addresses(READS, queue=QUEUE, job="job-1"):
                response = browser.get(address, headers=PAGE)
                assert response.status_code == 200, (attack, address)
                if set("<>\"'") & set(attack):
                    assert attack not in response.text, (attack, address)
                if response.mimetype == "application/json":
                    assert not set("<>&'\u2028\u2029") & set(response.text), (attack, address)
                    shown += any(attack in text for text in strings(response.json))
            assert shown, "the attack was not even shown: these pages prove nothing"

    def test_is_the_same_text_for_who_reads_the_json(self, browser, redis_client):
        for attack in ATTACKS:
            redis_client.flushall()
            plant(redis_client, attack, status="failed")
            job = browser.get("/rq/0/data/job/job-1.json").json
            assert job["description"] == job["exc_info"] == job["origin"] == attack
            assert job["result"] == {attack: attack}
            assert json.loads(job["metadata"]) == {attack: attack}
            names = [queue["name"] for queue in browser.get("/rq/0/data/queues.json").json["queues"]]
            assert attack in names
            (worker,) = browser.get("/rq/0/data/workers.json").json["workers"]
            assert worker["name"] == worker["state"] == attack

    def test_as_the_name_of_a_queue_that_is_looked_at(self, browser, redis_client):
        """rq-dashboard puts the name into a script as it is: its templates that end in .js are not escaped."""
        for attack in ATTACKS:
            if "/" in attack:  # no address leads to such a queue
                continue
            plant(redis_client, attack)
            page = browser.get(f"/rq/0/view/jobs/{quote(attack, safe='')}/queued/8/asc/1", headers=PAGE)
            assert page.status_code == 200, attack
            if set("<>\"'") & set(attack):
                assert attack not in page.text
            assert inline_code(page.text) == []

    def test_in_the_address_alone_is_not_shown(self, browser):
        """Nothing is planted: the text comes with a link that somebody was sent."""
        for attack in ATTACKS:
            text = quote(attack, safe="")
            for address in (
                f"/rq/0/view/jobs/{text}/queued/8/asc/1",
                f"/rq/0/view/jobs/bookings-0/{text}/8/asc/1",
                f"/rq/0/view/jobs/bookings-0/queued/8/{text}/1",
                f"/rq/0/view/job/{text}",
                f"/rq/{text}",
                f"/login?next={text}",
            ):
                page = browser.get(address, headers=PAGE)
                assert page.status_code in (303, 404), address
                if set("<>\"'") & set(attack):
                    assert attack not in page.text


class InlineCode(HTMLParser):
    """Collects what a browser would run or apply that stands in the page itself."""

    def __init__(self):
        super().__init__()
        self.found, self.is_script = [], False

    def handle_starttag(self, tag, attrs):
        self.is_script = tag == "script"
        self.found += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.found += [tag] if tag in ("style", "iframe", "object", "embed") else []

    def handle_endtag(self, tag):
        self.is_script = False

    def handle_data(self, data):
        self.found += [data] if self.is_script and data.strip() else []


def inline_code(html):
    parser = InlineCode()
    parser.feed(html)
    return parser.found


class TestPolicy:
    def test_of_every_page_allows_our_own_script_and_nothing_else(self, browser, redis_client):
        plant_job(redis_client, "job-1", QUEUE)
        for address in addresses(READS, queue=QUEUE, job="job-1"):
            response = browser.get(address, headers=PAGE)
            policies = response.headers.getlist("Content-Security-Policy")
            assert len(policies) == 1, address
            policy = dict(rule.strip().partition(" ")[::2] for rule in policies[0].split(";"))
            assert policy["default-src"] == "'none'"
            assert policy["frame-ancestors"] == "'none'"
            for text in policies:
                for forbidden in ("unsafe-inline", "unsafe-eval", "http:", "https:", "data:", "*"):
                    assert forbidden not in text
            if response.mimetype == "text/html":
                assert policy["script-src"] == policy["form-action"] == policy["connect-src"] == "'self'"
                assert policy["require-trusted-types-for"] == "'script'"
                assert policy["trusted-types"] == "'none'"
                assert policy["base-uri"] == "'none'"

    def test_is_one_that_the_pages_can_live_with(self, browser, redis_client):
        """No inline script, handler or style, and nothing from another host."""
        plant_job(redis_client, "job-1", QUEUE)
        for address in addresses(READS, queue=QUEUE, job="job-1"):
            page = browser.get(address, headers=PAGE)
            if page.mimetype != "text/html":
                continue
            assert inline_code(page.text) == [], address
            linked = re.findall(r'(?:src|href|action)="([^"]*)"', page.text)
            assert linked
            for target in linked:
                assert target.startswith("/"), target
                assert not target.startswith("//"), target
                if "logout" not in target:
                    with browser.get(target) as response:
                        assert response.status_code in (200, 303), target

    def test_our_script_makes_no_html_and_evaluates_nothing(self, browser):
        script = browser.get("/rq/console.js")
        assert script.mimetype == "text/javascript"
        for sink in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "Function(",
            "http",
        ):
            assert sink not in script.text, sink

    def test_answers_are_kept_by_nobody(self, browser, redis_client):
        plant_job(redis_client, "job-1", QUEUE)
        for address in addresses(READS, queue=QUEUE, job="job-1"):
            response = browser.get(address)
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            if "/static/" not in address:
                assert response.headers["Cache-Control"] == "no-store", address
                assert response.headers["Referrer-Policy"] == "same-origin", address

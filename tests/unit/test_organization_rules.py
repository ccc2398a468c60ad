"""Which addresses an organization may show, who sees its members, and who runs it."""

import pytest

from shared.domain.organizations import find_url_fault
from shared.domain.permissions import Actor, may_run_organization, may_see_members

SCHEME = "Must be an http or https address, with other than ASCII characters encoded."
HOST = "Must be an http or https address with a host."
CREDENTIALS = "Must not have a user name or password in it."


@pytest.mark.parametrize(
    "url",
    [
        "https://cello.example",
        "http://cello.example:8080/a/b?c=d&e=f#g",
        "HTTPS://Cello.Example/",
        "https://xn--cll-fna.example/%C3%A9",
        "https://192.0.2.1/logo.svg",
        "https://[2001:db8::1]:443/",
        "https://localhost/",
        "https://cello.example./",
        "https://cello.example/~a@b,c;(d)!'$*+=",
    ],
)
def test_http_addresses_with_a_host_are_accepted(url):
    assert find_url_fault(url) is None


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("javascript:alert(1)", SCHEME),
        ("data:text/html,x", SCHEME),
        ("ftp://cello.example/", SCHEME),
        ("//cello.example/", SCHEME),
        ("cello.example", SCHEME),
        ("https:/cello.example", SCHEME),
        ("https://", SCHEME),
        ("https://cello.example/a b", SCHEME),
        ("https://cello.example/\nSet-Cookie: a", SCHEME),
        ('https://cello.example/"onload="x', SCHEME),
        ("https://cello.example\\@evil.example/", SCHEME),
        ("https://célló.example/", SCHEME),
        ("https:///path", HOST),
        ("https://:443/", HOST),
        ("https://cello.example:port/", HOST),
        ("https://cello.example:99999/", HOST),
        ("https://[2001:db8::1/", HOST),
        ("https://-cello.example/", HOST),
        ("https://cello%40evil.example/", HOST),
        ("https://ada:secret@cello.example/", CREDENTIALS),
        ("https://ada@cello.example/", CREDENTIALS),
        ("https://@cello.example/", CREDENTIALS),
    ],
)
def test_others_are_refused(url, fault):
    assert find_url_fault(url) == fault


@pytest.mark.parametrize(
    ("role", "belongs_to", "sees"), [("admin", (), True), ("host", (7,), True), ("host", (8,), False)]
)
def test_members_are_shown_to_members_and_admins(role, belongs_to, sees):
    assert may_see_members(Actor(1, role, organization_ids=frozenset(belongs_to)), 7) is sees


@pytest.mark.parametrize(
    ("role", "membership", "runs"),
    [("admin", None, True), ("host", "owner", True), ("host", "member", False), ("host", None, False)],
)
def test_owners_and_admins_run_it(role, membership, runs):
    assert may_run_organization(Actor(1, role), membership) is runs

"""The list of users: for admins, in every order, by role, and by the beginnings of words."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from shared.db import transaction
from shared.store.paging import PageRequest
from shared.store.users import list_users
from tests.event_calls import pointers, problem_of
from tests.factories import auth_header, make_user
from tests.plans import indexes_of

ROWS = 20_000


@pytest.fixture
def admin(app, engine) -> dict[str, str]:
    return auth_header(app, make_user(engine, role="admin", name="Root", email="root@guichet.example"))


@pytest.fixture
def names(client, admin):
    def ask(query: str = "") -> list[str]:
        answer = client.get(f"/api/users?{query}", headers=admin)
        assert answer.status_code == 200, answer.text
        return [item["name"] for item in answer.json["items"]]

    return ask


@pytest.fixture
def people(engine, admin) -> None:
    make_user(engine, name="Ada Lovelace", email="Countess@Example.org", role="host")
    make_user(engine, name="Élodie Durand-Martin", email="elodie.durand+tickets@mail.example")
    make_user(engine, name="O'Neill", email="jack-7@sg1.example")
    make_user(engine, name="Zoë", email="a@b.example", role="host")


def walk(client, headers: dict[str, str], query: str) -> Iterator[dict[str, Any]]:
    """Every item, page by page along the Link headers."""
    url: str | None = f"/api/users?{query}"
    while url:
        answer = client.get(url, headers=headers)
        yield from answer.json["items"]
        url = answer.headers["Link"].split(">")[0][1:] if "Link" in answer.headers else None


class TestWho:
    @pytest.mark.parametrize("path", ["/api/users", "/api/admin/users"])
    def test_is_for_admins(self, app, client, engine, admin, path):
        assert problem_of(client.get(path)) == (401, "unauthenticated")
        for role in ("attendee", "host"):
            answer = client.get(path, headers=auth_header(app, make_user(engine, role=role)))
            assert problem_of(answer) == (403, "forbidden")
        answer = client.get(path, headers=admin)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")

    def test_both_addresses_are_one_list(self, client, admin):
        first = client.get("/api/users?with_total=true", headers=admin).json
        assert client.get("/api/admin/users?with_total=true", headers=admin).json == first
        assert first["total"] == 1
        assert set(first["items"][0]) == {"id", "name", "email", "role", "created_at"}

    def test_closed_accounts_are_not_in_it(self, app, client, engine, admin, names):
        closing = make_user(engine, name="Gone")
        assert names() == ["Gone", "Root"]
        client.delete(f"/api/users/{closing.id}", headers=admin)
        assert names() == ["Root"]
        assert names("search=gone") == names("search=deleted") == []


@pytest.mark.usefixtures("people")
class TestOrder:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", ["Zoë", "O'Neill", "Élodie Durand-Martin", "Ada Lovelace", "Root"]),
            ("order=asc", ["Root", "Ada Lovelace", "Élodie Durand-Martin", "O'Neill", "Zoë"]),
            ("sort=email", ["Zoë", "Ada Lovelace", "Élodie Durand-Martin", "O'Neill", "Root"]),
            ("sort=email&order=desc&limit=1", ["Root"]),
            ("sort=name&limit=2", ["Ada Lovelace", "O'Neill"]),
            ("role=host", ["Zoë", "Ada Lovelace"]),
            ("role=admin", ["Root"]),
        ],
    )
    def test_is_as_asked(self, names, query, expected):
        assert names(query) == expected

    @pytest.mark.parametrize("sort", ["created_at", "name", "email"])
    @pytest.mark.parametrize("filters", ["", "&search=example", "&role=host"])
    def test_pages_follow_each_other_without_a_gap(self, client, engine, admin, sort, filters):
        make_user(engine, name="Zoë", email="b@b.example")  # a name twice: the id decides
        whole = client.get(f"/api/users?sort={sort}{filters}", headers=admin).json["items"]
        assert list(walk(client, admin, f"sort={sort}&limit=1{filters}")) == whole
        assert len(whole) == (2 if "role" in filters else 6)

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [("role=owner", "?role"), ("sort=role", "?sort"), ("search=", "?search"), ("name=x", "?name")],
    )
    def test_what_it_does_not_know_is_refused(self, client, admin, query, pointer):
        assert pointers(client.get(f"/api/users?{query}", headers=admin)) == [pointer]


@pytest.mark.usefixtures("people")
class TestSearch:
    @pytest.mark.parametrize(
        ("search", "expected"),
        [
            ("ada", ["Ada Lovelace"]),
            ("LOVE", ["Ada Lovelace"]),
            ("love%20ada", ["Ada Lovelace"]),
            ("countess@example.org", ["Ada Lovelace"]),
            ("example.org", ["Ada Lovelace"]),
            ("martin", ["Élodie Durand-Martin"]),
            ("durand-m", ["Élodie Durand-Martin"]),
            ("%C3%A9lo", ["Élodie Durand-Martin"]),
            ("ELODI%20DUR", ["Élodie Durand-Martin"]),
            ("zoe", ["Zoë"]),
            ("z%C3%B6", ["Zoë"]),
            ("elodie.durand%2Btick", ["Élodie Durand-Martin"]),
            ("neill", ["O'Neill"]),
            ("-7", ["O'Neill"]),
            ("ada%20neill", []),
            ("ovelace", []),  # not the beginning of a word
            ("%25", []),
            ("'", []),
            ("%5C':*%20%7C%20!a", ["Zoë", "Ada Lovelace"]),  # no operators: the word a
            ("z%20b%20e", ["Zoë"]),
        ],
    )
    def test_finds_beginnings_of_words_of_name_and_address(self, names, search, expected):
        assert names(f"search={search}") == expected

    def test_goes_together_with_a_role_and_a_total(self, client, admin):
        found = client.get("/api/users?search=example&role=host&with_total=true&limit=1", headers=admin).json
        assert (found["total"], [item["name"] for item in found["items"]]) == (2, ["Zoë"])

    @pytest.mark.parametrize("analysed", [False, True])
    @pytest.mark.parametrize("sort", ["created_at", "name", "email"])
    def test_looks_words_up_whatever_the_order(self, engine, sort, analysed):
        """The planner believes that a rare word is common, and would read the whole list for it. Nor does it know
        anything of a table that was never analysed.
        """
        fill(engine)
        if analysed:
            with transaction(engine) as session:
                session.execute(text("analyze users"))

        def search(session: Session) -> None:
            found = list_users(session, role=None, search="p777", page=PageRequest(sort=sort))
            assert len(found.rows) == 11  # p777, p7770 …

        assert indexes_of(engine, search) == {"users_words_idx"}


class TestPlans:
    @pytest.mark.parametrize(
        ("sort", "role", "index"),
        [
            ("created_at", None, "users_created_idx"),
            ("name", None, "users_name_idx"),
            ("email", None, "users_email_key"),
            ("created_at", "host", "users_role_idx"),
        ],
    )
    def test_a_page_reads_what_it_shows(self, engine, sort, role, index):
        fill(engine)
        page = PageRequest(sort=sort)
        assert indexes_of(engine, lambda s: list_users(s, role=role, search=None, page=page)) == {index}


def fill(engine: Engine) -> None:
    """So many users that no plan reads them all without need; nothing analyses them behind the test's back."""
    with transaction(engine) as session:
        session.execute(text("alter table users set (autovacuum_enabled = false)"))
        session.execute(
            text(
                "insert into users (name, email, role) select 'Person ' || n, 'p' || n || '@example.org', 'attendee'"
                " from generate_series(1, :rows) n"
            ),
            {"rows": ROWS},
        )

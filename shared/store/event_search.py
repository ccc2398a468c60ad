"""What people type into a search box, and how the events that have it are found.

Words are all wanted; each matches the beginning of a word, but one or two letters only the whole of it, unless they
come last: somebody may still be typing. `"in quotes"` stand one after the other, `-word` must not be there, `or`
between words leaves a choice. Case, accents and punctuation do not count: the function `search_words` makes texts and
queries alike, so both are folded in one place.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.store.paging import ListQuery, Page, PageRequest, Position, keyset, make_page

WHOLE_LETTERS_MAX: Final = 2

# So few are read and sorted before anything else is known: a millisecond.
_FEW_HITS: Final = 200
# How far along the order a common word is looked for: as many times further than it would be if it were spread
# evenly, within bounds that take one and forty milliseconds.
_WALK_TIMES: Final = 4
_WALK_MIN: Final = 1_000
_WALK_MAX: Final = 20_000
# Hits that are read and sorted at most when the walk has found too few: a tenth of a second.
_SORTED_MAX: Final = 50_000

_QUOTES: Final = str.maketrans(dict.fromkeys("“”„‟«»＂", '"'))
_TOKEN: Final = re.compile(r'(?P<minus>-?)"(?P<phrase>[^"]*)(?:"|$)|(?P<word>[^\s"]+)')


@dataclass(frozen=True, slots=True)
class SearchCondition:
    """An SQL expression of type tsquery, a constant for the planner, and its parameters."""

    query: str
    parameters: dict[str, str]


def search_condition(search: str) -> SearchCondition:
    """The condition for what was typed; whatever it is, it is a valid one. Empty words match nothing."""
    groups: list[list[str]] = [[]]
    parameters: dict[str, str] = {}
    tokens = list(_TOKEN.finditer(search.translate(_QUOTES)))
    for number, token in enumerate(tokens):
        word = token["word"]
        if word is not None and word.lower() == "or" and groups[-1] and number + 1 < len(tokens):
            groups.append([])
            continue
        name = f"word_{number}"
        expression, text = _expression(token, name, is_last=number + 1 == len(tokens))
        groups[-1].append(expression)
        parameters[name] = text
    alternatives = [" && ".join(group) for group in groups if group]
    query = " || ".join(f"({alternative})" for alternative in alternatives)
    return SearchCondition(query or "''::tsquery", parameters)


def _expression(token: re.Match[str], name: str, *, is_last: bool) -> tuple[str, str]:
    """The expression of one token, and the text that its parameter has."""
    words = f"search_words(:{name})"
    if token["phrase"] is not None:
        excluded, text = token["minus"] == "-", token["phrase"]
    else:
        excluded, text = token["word"].startswith("-"), token["word"].removeprefix("-")
    whole = f"phraseto_tsquery('simple', {words})"
    if excluded:
        return f"!!{whole}", text
    if token["phrase"] is not None or (len(text) <= WHOLE_LETTERS_MAX and not is_last):
        return whole, text
    return f"search_prefix({words})", text


def fetch_search_page(session: Session, query: ListQuery, page: PageRequest, search: str) -> Page:
    """The page of `query`, a list of events `e`, that also match `search`. Two round trips, at most four.

    There are two ways, and none is good for all words: to read the few hits of a rare word from the text index and
    sort them, or to walk along the order of the list until a common word has come up often enough. PostgreSQL's
    own choice between them takes words to be spread evenly; one that all the late events have would make it
    walk past all the early ones. So the planner is asked only how many hits there may be. When a walk has not
    filled its page and the hits are too many to sort, the page is short, perhaps empty, and says where to go on.
    """
    condition = search_condition(search)
    wanted = replace(
        query,
        conditions=[*query.conditions, f"e.search_text @@ ({condition.query})"],
        parameters={**query.parameters, **condition.parameters},
    )
    hits = _estimate(session, wanted)
    if hits <= _FEW_HITS:
        return make_page(session, wanted, page, _read_hits(session, wanted, page))
    walked = math.ceil((page.offset + page.limit + 1) * _estimate(session, query) / hits)
    if hits <= walked:
        return make_page(session, wanted, page, _read_hits(session, wanted, page))
    window = min(max(walked * _WALK_TIMES, _WALK_MIN), _WALK_MAX)
    found = _walk(session, query, page, condition, window)
    if len(found) > page.limit:
        return make_page(session, wanted, page, found)
    if hits <= _SORTED_MAX or page.offset:  # an offset counts hits: it has no place to go on from
        return make_page(session, wanted, page, _read_hits(session, wanted, page))
    return replace(make_page(session, wanted, page, found), next=_find_place(session, query, page, window))


def _estimate(session: Session, query: ListQuery) -> int:
    """How many rows the planner expects, at least 1. It reads statistics, not rows."""
    statement = f"explain (format json) select from events e where {' and '.join(query.conditions)}"
    plan = session.execute(text(statement), query.parameters).scalar_one()[0]["Plan"]
    return max(1, int(plan["Plan Rows"]))


def _read_hits(session: Session, wanted: ListQuery, page: PageRequest) -> Sequence[Mapping[str, Any]]:
    """The page by way of the text index, or of another one that leaves fewer; `offset 0` keeps the planner from
    walking along the order.
    """
    order, where, parameters = keyset(wanted, page)
    source = f"select * from events e where {where} offset 0"  # noqa: S608 - our own text
    return _select(session, wanted, source, order, "true", parameters)


def _walk(
    session: Session, query: ListQuery, page: PageRequest, condition: SearchCondition, window: int
) -> Sequence[Mapping[str, Any]]:
    """The page, as far as it stands in the next `window` rows of the order; reads no further than it needs."""
    order, where, parameters = keyset(query, page)
    return _select(
        session,
        query,
        f"select * from events e where {where} order by {order} limit :window",  # noqa: S608
        order,
        f"e.search_text @@ ({condition.query})",
        {**parameters, **condition.parameters, "window": window},
    )


def _select(
    session: Session, query: ListQuery, source: str, order: str, where: str, parameters: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    tables = query.tables.replace("events e", f"({source}) e")
    statement = (
        f"select {query.columns}, {query.key} as page_key, {query.id} as page_id from {tables} "  # noqa: S608
        f"where {where} order by {order} limit :page_limit offset :page_offset"
    )
    return [dict(row) for row in session.execute(text(statement), parameters).mappings()]


def _find_place(session: Session, query: ListQuery, page: PageRequest, window: int) -> Position | None:
    """Where a walk over `window` rows has ended; None when it came to the end of the list."""
    order, where, parameters = keyset(query, page)
    statement = f"select {query.key} as key, {query.id} as id from events e where {where} order by {order} "  # noqa: S608
    found = session.execute(
        text(f"{statement} limit 1 offset :skipped"), {**parameters, "skipped": window - 1}
    ).one_or_none()
    return None if found is None else Position(found.key, found.id)

"""The ledger's hash chain: every column counts but who it was, and the bytes are documented."""

import hashlib
import uuid
from dataclasses import fields, replace
from datetime import timedelta, timezone

import orjson
import pytest

from shared.clock import parse_rfc3339
from shared.domain.ledger import GENESIS, LedgerRow, canonical_json, chain_hash, event_set_facts
from tests.snapshots import CLOSES, NOW, OPENS, STARTS

ROW = LedgerRow(
    job_id=uuid.UUID(int=1),
    event_id=2,
    number=3,
    arrival=4,
    kind="book",
    user_id=5,
    tickets=2,
    outcome="confirmed",
    reason=None,
    booking_id=uuid.UUID(int=6),
    available_after=8,
    facts={"b": 1, "a": {"d": None, "c": "é"}},
    accepted_at=NOW,
    decided_at=NOW + timedelta(microseconds=1),
)
CHANGED = {
    "job_id": uuid.UUID(int=2), "event_id": 3, "number": 4, "arrival": None, "kind": "cancel", "tickets": None,
    "outcome": "rejected", "reason": "sold_out", "booking_id": None, "available_after": 7, "facts": {},
    "accepted_at": NOW + timedelta(microseconds=1), "decided_at": NOW,
}  # fmt: skip


class TestHash:
    @pytest.mark.parametrize("column", CHANGED)
    def test_changes_with_every_column(self, column):
        assert chain_hash(GENESIS, replace(ROW, **{column: CHANGED[column]})) != chain_hash(GENESIS, ROW)

    def test_does_not_know_who_it_was(self):
        assert chain_hash(GENESIS, replace(ROW, user_id=None, hash=b"x")) == chain_hash(GENESIS, ROW)
        assert {field.name for field in fields(ROW)} == {*CHANGED, "user_id", "hash"}

    def test_changes_with_the_row_before(self):
        assert chain_hash(chain_hash(GENESIS, ROW), ROW) != chain_hash(GENESIS, ROW)

    def test_is_what_anyone_can_recompute(self):
        text = (
            '{"accepted_at":"2026-11-20T18:00:00.000000Z","arrival":4,"available_after":8,'
            '"booking_id":"00000000-0000-0000-0000-000000000006","decided_at":"2026-11-20T18:00:00.000001Z",'
            '"event_id":"2","facts":{"a":{"c":"é","d":null},"b":1},'
            '"job_id":"00000000-0000-0000-0000-000000000001","kind":"book","number":3,"outcome":"confirmed",'
            '"reason":null,"tickets":2}'
        )
        assert canonical_json(ROW) == text.encode()
        assert chain_hash(GENESIS, ROW) == hashlib.sha256(bytes(32) + text.encode()).digest()

    def test_is_the_same_in_every_time_zone(self):
        elsewhere = replace(ROW, accepted_at=NOW.astimezone(timezone(timedelta(hours=5, minutes=30))))
        assert chain_hash(GENESIS, elsewhere) == chain_hash(GENESIS, ROW)


class TestEventSetFacts:
    @pytest.mark.parametrize("opens", [None, OPENS])
    def test_hold_every_field_that_a_rule_reads(self, opens):
        facts = event_set_facts(
            capacity=10, max_per_booking=4, status="scheduled", deleted=False, starts_at=STARTS, sales_open_at=opens,
            sales_close_at=CLOSES, sales_paused=True, price_minor=100, currency="EUR",
            waitlist_enabled=True,
        )  # fmt: skip
        assert orjson.loads(orjson.dumps(facts)) == facts
        assert parse_rfc3339(facts["starts_at"]) == STARTS
        assert (
            facts["sales_open_at"] is None
            if opens is None
            else parse_rfc3339(facts["sales_open_at"]) == opens
        )

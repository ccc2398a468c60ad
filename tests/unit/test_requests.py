"""The payload in the line: what goes in comes out, and nothing else comes out as a request."""

import contextlib
import uuid
from dataclasses import asdict

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.requests import (
    BIGINT_MAX,
    INTEGER_MAX,
    JOB_FUNCTION,
    PayloadError,
    decode_payload,
    decode_request,
    encode_payload,
    is_job_id,
)
from tests.snapshots import NOW

JOB = uuid.UUID(int=7)
numbers = st.integers(0, BIGINT_MAX)


def decode(data: bytes, job_id: str = str(JOB)):
    return decode_request(job_id, data, arrival=3, accepted_at=NOW, withdrawn=False)


def data_with(**fields) -> bytes:
    payload = {"v": 1, "kind": "cancel", "event_id": 1, "user_id": 1, **fields}
    return orjson.dumps(
        [JOB_FUNCTION, None, [], {key: value for key, value in payload.items() if value is not ...}]
    )


class TestPayload:
    @given(
        event_id=numbers,
        user_id=numbers,
        tickets=st.integers(1, INTEGER_MAX),
        booking_id=st.none() | st.uuids(),
        acting_as=st.sampled_from(["owner", "host", "admin", "account"]),
        request_id=st.none() | st.text(min_size=1, alphabet=st.characters(codec="utf-8")),
    )
    def test_comes_out_as_it_went_in(self, **fields):
        found = asdict(decode(encode_payload(kind="book", **fields)))
        fields["request_id"] = fields["request_id"] or JOB.hex  # what is not said is the job's own
        assert {name: found[name] for name in fields} == fields
        assert (found["job_id"], found["kind"], found["arrival"], found["accepted_at"]) == (
            JOB,
            "book",
            3,
            NOW,
        )

    @given(user_id=numbers, tickets=st.integers(1, 10), waitlist=st.booleans())
    def test_of_somebody_who_would_wait_comes_out_as_it_went_in(self, user_id, tickets, waitlist):
        data = encode_payload(kind="book", event_id=1, user_id=user_id, tickets=tickets, waitlist=waitlist)
        found = decode(data)
        assert (found.user_id, found.tickets, found.waitlist) == (user_id, tickets, waitlist)

    @pytest.mark.parametrize("kind", ["accept_offer", "decline_offer", "expire_offer"])
    def test_about_an_offer_comes_out_as_it_went_in(self, kind):
        found = decode(encode_payload(kind=kind, event_id=1, user_id=2, offer_id=JOB))
        assert (found.kind, found.user_id, found.offer_id, found.tickets) == (kind, 2, JOB, None)

    def test_of_the_control_plane_names_nobody(self):
        found = decode(encode_payload(kind="call_off", event_id=1, user_id=None))
        assert (found.user_id, found.tickets, found.booking_id, found.acting_as) == (
            None,
            None,
            None,
            "owner",
        )

    def test_is_what_stock_rq_reads(self):
        function, instance, args, kwargs = orjson.loads(
            encode_payload(kind="book", event_id=1, user_id=2, tickets=3)
        )
        assert (function, instance, args) == (JOB_FUNCTION, None, [])
        assert kwargs == {"v": 2, "kind": "book", "event_id": 1, "user_id": 2, "tickets": 3}

    @pytest.mark.parametrize(
        "data",
        [
            b"", b"\xff", b"5", b"null", b"[]", b"[1,2,3]", b'"abcd"', b'{"a":1,"b":2,"c":3,"d":4}',
            b'["os.system",null,[],{"kind":"book"}]',
            b'["worker.jobs.decide",null,[],"book"]',
            b'["worker.jobs.decide",null,[],{"kind":"refund"}]',
            b'["worker.jobs.decide",null,[],{"kind":["book"]}]',
            b'["worker.jobs.decide",null,[],{}]',
        ],
    )  # fmt: skip
    def test_of_another_form_is_refused(self, data):
        with pytest.raises(PayloadError):
            decode_payload(data)
        with pytest.raises(PayloadError):
            decode(data)

    @pytest.mark.parametrize(
        "fields",
        [
            {"event_id": ...}, {"event_id": None}, {"event_id": True}, {"event_id": -1}, {"event_id": "1"},
            {"event_id": 2**63}, {"user_id": ...}, {"user_id": False}, {"user_id": ""}, {"user_id": 0.0},
            {"user_id": []}, {"user_id": 2**63}, {"tickets": False}, {"tickets": 1.0}, {"tickets": 2**31},
            {"tickets": {}}, {"booking_id": "x"}, {"booking_id": 5}, {"booking_id": None}, {"acting_as": []},
            {"acting_as": "root"}, {"request_id": {"a": 1}}, {"kind": "book", "tickets": 0},
            {"kind": "book"}, {"kind": "book", "tickets": 1, "user_id": None}, {"tickets": 1},
            {"kind": "book", "tickets": 1, "waitlist": 1}, {"kind": "join_waitlist"},
            {"kind": "join_waitlist", "tickets": 1, "user_id": None}, {"kind": "leave_waitlist", "user_id": None},
            {"kind": "accept_offer"}, {"kind": "accept_offer", "offer_id": None}, {"kind": "accept_offer", "offer_id": "x"},
            {"kind": "accept_offer", "offer_id": str(JOB), "user_id": None},
            {"kind": "accept_offer", "offer_id": str(JOB), "tickets": 9}, {"kind": "expire_offer"},
        ],
    )  # fmt: skip
    def test_with_a_field_that_no_ledger_could_hold_is_refused(self, fields):
        """A tampered hash must never reach the database: its refusal would stop the line."""
        with pytest.raises(PayloadError):
            decode(data_with(**fields))

    @pytest.mark.parametrize("job_id", ["x", "", str(JOB).upper().replace("0", "A"), JOB.hex, f"{{{JOB}}}"])
    def test_of_a_job_with_another_spelling_of_its_id_is_refused(self, job_id):
        with pytest.raises(PayloadError):
            decode(data_with(), job_id)

    @given(st.binary(max_size=60) | st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    ).map(lambda value: orjson.dumps([JOB_FUNCTION, None, [], value])))  # fmt: skip
    def test_of_any_bytes_is_a_request_or_an_error_of_one_kind(self, data):
        with contextlib.suppress(PayloadError):
            decode(data)


class TestJobId:
    @pytest.mark.parametrize(
        ("text", "is_one"), [(str(JOB), True), (JOB.hex, False), ("x", False), ("", False), ("é", False)]
    )
    def test_is_a_uuid_in_its_usual_form(self, text, is_one):
        assert is_job_id(text) is is_one

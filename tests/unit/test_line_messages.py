"""What a message about a batch of decisions says, also when a worker of the release before has sent it."""

import base64
import uuid

import pytest

from shared.line.messages import read_message, read_result

JOBS = [str(uuid.uuid4()).encode() for _ in range(4)]


class TestReadMessage:
    def test_gives_each_job_its_result_in_order(self):
        message = b",".join([JOBS[2], b"eyJ9", JOBS[0], b"W10="])
        assert list(read_message(message).items()) == [(JOBS[2], b"eyJ9"), (JOBS[0], b"W10=")]

    @pytest.mark.parametrize("count", [1, 2, 3, 4])
    def test_understands_ids_alone(self, count):
        assert read_message(b",".join(JOBS[:count])) == dict.fromkeys(JOBS[:count], b"")

    def test_says_nothing_of_an_empty_one(self):
        assert read_message(b"") == {b"": b""}


class TestReadResult:
    def test_gives_the_document(self):
        assert read_result(base64.b64encode(b'{"outcome":"confirmed"}')) == {"outcome": "confirmed"}

    @pytest.mark.parametrize("text", [b"", b"a", b"bm8=", base64.b64encode(b"[]"), base64.b64encode(b"1")])
    def test_takes_nothing_else_for_one(self, text):
        with pytest.raises(ValueError, match=r"."):
            read_result(text)

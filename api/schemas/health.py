"""What the health addresses answer."""

from typing import Final

from marshmallow import fields, validate

from api.fields import about
from api.parsing import StrictSchema

READY: Final = "ready"
UNREADY: Final = "unready"


class AliveDocument(StrictSchema):
    """This process answers."""

    status = fields.String(required=True, validate=validate.Equal("ok"), metadata=about("Always ok.", "ok"))


class ReadinessDocument(StrictSchema):
    """Whether bookings can be accepted and decided, and what is in the way."""

    status = fields.String(
        required=True,
        validate=validate.OneOf([READY, UNREADY]),
        metadata=about("Unready with a problem.", READY),
    )
    problems = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={
            **about("What fails, by part: postgres, schema, redis, durability, installation, demo, worker."),
            "example": {},
        },
    )
    warnings = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata=about(
            "What makes the line stand although everything is there, and what was lost; absent when nothing is.",
            {"paused": "The line is paused: maintenance"},
        ),
    )

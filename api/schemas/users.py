"""A user on the wire."""

from typing import Any

from marshmallow import ValidationError, post_load, validate, validates_schema

from api.parsing import StrictSchema, Text
from shared.clock import rfc3339
from shared.domain.accounts import EMAIL_LENGTH_MAX, NAME_LENGTH_MAX
from shared.models import User

REGISTRABLE_ROLES = ("attendee", "host")


def user_document(user: User) -> dict[str, Any]:
    """`user` of the contract: never a password hash."""
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "created_at": rfc3339(user.created_at),
    }


def email_field(**options: Any) -> Text:  # noqa: ANN401 - marshmallow's options
    """An e-mail address: its form is checked, that somebody reads it is not."""
    return Text(maximum=EMAIL_LENGTH_MAX, validate=validate.Email(), **options)


def role_field(**options: Any) -> Text:  # noqa: ANN401 - marshmallow's options
    """A role that HTTP may give: an admin is made on the server only."""
    return Text(maximum=20, validate=validate.OneOf(REGISTRABLE_ROLES), **options)


class NamedSchema(StrictSchema):
    """Somebody's `name`, which may be called `username`."""

    name = Text(minimum=1, maximum=NAME_LENGTH_MAX)
    username = Text(minimum=1, maximum=NAME_LENGTH_MAX)

    @validates_schema
    def _refuse_both(self, data: dict[str, Any], **_options: object) -> None:
        if "name" in data and "username" in data:
            raise ValidationError("Give `name` or `username`, not both.", "username")

    @post_load
    def _rename(self, data: dict[str, Any], **_options: object) -> dict[str, Any]:
        if "username" in data:
            data["name"] = data.pop("username")
        return data


class ProfileSchema(NamedSchema):
    """What people change about themselves."""

    email = email_field()


class UserChangeSchema(ProfileSchema):
    """What an admin may change besides."""

    role = role_field()

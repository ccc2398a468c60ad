"""A user on the wire."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from api.fields import InstantText, about
from api.paging import PagingSchema, Sort, list_document_of, sort_field
from api.parsing import StrictInteger, StrictSchema, Text
from shared.clock import rfc3339
from shared.domain.accounts import EMAIL_LENGTH_MAX, NAME_LENGTH_MAX
from shared.domain.permissions import Role
from shared.models import User

REGISTRABLE_ROLES = ("attendee", "host")

_NAME: Final = "Ada Lovelace"
_EMAIL: Final = "ada@example.org"


USER_SORTS: Final = {
    "created_at": Sort("instant", descending=True),
    "name": Sort("text"),
    "email": Sort("text"),
}


class UserListSchema(PagingSchema):
    """Query of the list of users."""

    sort = sort_field(USER_SORTS)
    role = fields.String(
        validate=validate.OneOf(get_args(Role)), metadata=about("Only users with this role.")
    )
    search = Text(
        minimum=1,
        maximum=200,
        metadata=about(
            "Beginnings of words of the name or the e-mail address, in any case; all must be there."
        ),
    )


class UserDocument(StrictSchema):
    """An account, as itself and admins see it."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The user's id.", 42))
    name = fields.String(required=True, metadata=about("The name shown to hosts.", _NAME))
    # no fields.Email: a closed account has an address without a dot in it
    email = fields.String(required=True, metadata={"format": "email", **about("Where one logs in.", _EMAIL)})
    role = fields.String(
        required=True,
        validate=validate.OneOf(get_args(Role)),
        metadata=about("What the user may do; nobody becomes an admin over HTTP.", "attendee"),
    )
    created_at = InstantText(
        required=True, metadata=about("When the account was made.", "2030-01-15T09:30:00.000000Z")
    )


UserListDocument: Final = list_document_of(UserDocument)


def user_document(user: User) -> dict[str, Any]:
    """`user` of the contract: never a password hash."""
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "created_at": rfc3339(user.created_at),
    }


def user_row_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same, of a row of the list."""
    return {
        "id": row["id"],
        "name": row["name"],
        "email": row["email"],
        "role": row["role"],
        "created_at": rfc3339(row["created_at"]),
    }


def email_field(**options: Any) -> Text:  # noqa: ANN401 - marshmallow's options
    """An e-mail address: its form is checked, that somebody reads it is not."""
    metadata = {"format": "email", **about("Where one logs in; one account an address.", _EMAIL)}
    return Text(maximum=EMAIL_LENGTH_MAX, validate=validate.Email(), metadata=metadata, **options)


def role_field(**options: Any) -> Text:  # noqa: ANN401 - marshmallow's options
    """A role that HTTP may give: an admin is made on the server only."""
    metadata = about("A host may create events; an attendee only books.", "attendee")
    return Text(maximum=20, validate=validate.OneOf(REGISTRABLE_ROLES), metadata=metadata, **options)


class NamedSchema(StrictSchema):
    """Somebody's `name`, which may be called `username`."""

    name = Text(minimum=1, maximum=NAME_LENGTH_MAX, metadata=about("The name shown to hosts.", _NAME))
    # `examples` and not `example`: a body that is made of the examples has one of the two
    username = Text(
        minimum=1,
        maximum=NAME_LENGTH_MAX,
        metadata={**about("Instead of `name`, never beside it."), "examples": [_NAME]},
    )

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

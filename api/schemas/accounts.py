"""Registering, logging in and passwords on the wire."""

from typing import Any, Final

from marshmallow import ValidationError, fields, validates_schema

from api.fields import about
from api.parsing import StrictInteger, StrictSchema, Text
from api.schemas.users import NamedSchema, UserDocument, email_field, role_field, user_document
from shared.domain.accounts import EMAIL_LENGTH_MAX, PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN
from shared.services.token_families import SignedIn

# Passwords that are compared are not judged: what was accepted once must stay usable.
_COMPARED_LENGTH_MAX = 1024
_TOKEN_LENGTH_MAX = 4096

_PASSWORD: Final = "a-fine-long-passphrase"  # noqa: S105 - an example
_TOKEN: Final = "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"  # noqa: S105 - an example


class TokensDocument(StrictSchema):
    """Somebody signed in, with fresh tokens."""

    user = fields.Nested(UserDocument, required=True, metadata=about("Who is signed in."))
    token = fields.String(
        required=True, metadata=about("The access token: the bearer of every call.", _TOKEN)
    )
    refresh_token = fields.String(
        required=True, metadata=about("Good for one `POST /api/auth/refresh`.", _TOKEN)
    )
    expires_in = StrictInteger(
        required=True, minimum=1, metadata=about("Seconds that the access token is good for.", 900)
    )


def tokens_document(signed_in: SignedIn) -> dict[str, Any]:
    """What registering, logging in and refreshing answer."""
    return {
        "user": user_document(signed_in.user),
        "token": signed_in.pair.access_token,
        "refresh_token": signed_in.pair.refresh_token,
        "expires_in": signed_in.pair.expires_in,
    }


def _new_password_field() -> Text:
    metadata = {
        "format": "password",
        **about("Not the e-mail address, and none of those that are tried first.", _PASSWORD),
    }
    return Text(
        minimum=PASSWORD_LENGTH_MIN,
        maximum=PASSWORD_LENGTH_MAX,
        trim=False,
        required=True,
        metadata=metadata,
    )


def _compared_password_field(
    *, required: bool = True, description: str = "The password as it is now."
) -> Text:
    metadata = {"format": "password", **about(description, _PASSWORD)}
    return Text(minimum=1, maximum=_COMPARED_LENGTH_MAX, trim=False, required=required, metadata=metadata)


class RegisterSchema(NamedSchema):
    """A new account."""

    email = email_field(required=True)
    password = _new_password_field()
    role = role_field(load_default="attendee")

    @validates_schema
    def _require_name(self, data: dict[str, Any], **_options: object) -> None:
        if "name" not in data and "username" not in data:
            raise ValidationError("Missing data for required field.", "name")


class LogInSchema(StrictSchema):
    """Who one claims to be."""

    email = Text(
        minimum=1,
        maximum=EMAIL_LENGTH_MAX,
        required=True,
        metadata=about("The account's address, in any case.", "ada@example.org"),
    )
    password = _compared_password_field()


class RefreshSchema(StrictSchema):
    """The refresh token, when it does not stand in the Authorization header."""

    refresh_token = Text(
        minimum=1,
        maximum=_TOKEN_LENGTH_MAX,
        metadata=about("The newest refresh token of the log-in.", _TOKEN),
    )


class ChangePasswordSchema(StrictSchema):
    """From one password to another."""

    current_password = _compared_password_field()
    new_password = _new_password_field()


class ConfirmationSchema(StrictSchema):
    """The password once more, before something that cannot be undone."""

    password = _compared_password_field()


class ClosingSchema(StrictSchema):
    """Closing an account by its id."""

    password = _compared_password_field(
        required=False, description="For one's own account, which needs it; refused for another's."
    )

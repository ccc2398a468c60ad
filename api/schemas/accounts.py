"""Registering, logging in and passwords on the wire."""

from typing import Any

from marshmallow import ValidationError, validates_schema

from api.parsing import StrictSchema, Text
from api.schemas.users import NamedSchema, email_field, role_field, user_document
from shared.domain.accounts import EMAIL_LENGTH_MAX, PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN
from shared.services.token_families import SignedIn

# Passwords that are compared are not judged: what was accepted once must stay usable.
_COMPARED_LENGTH_MAX = 1024
_TOKEN_LENGTH_MAX = 4096


def tokens_document(signed_in: SignedIn) -> dict[str, Any]:
    """What registering, logging in and refreshing answer."""
    return {
        "user": user_document(signed_in.user),
        "token": signed_in.pair.access_token,
        "refresh_token": signed_in.pair.refresh_token,
        "expires_in": signed_in.pair.expires_in,
    }


def _new_password_field() -> Text:
    return Text(minimum=PASSWORD_LENGTH_MIN, maximum=PASSWORD_LENGTH_MAX, trim=False, required=True)


def _compared_password_field() -> Text:
    return Text(minimum=1, maximum=_COMPARED_LENGTH_MAX, trim=False, required=True)


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

    email = Text(minimum=1, maximum=EMAIL_LENGTH_MAX, required=True)
    password = _compared_password_field()


class RefreshSchema(StrictSchema):
    """The refresh token, when it does not stand in the Authorization header."""

    refresh_token = Text(minimum=1, maximum=_TOKEN_LENGTH_MAX)


class ChangePasswordSchema(StrictSchema):
    """From one password to another."""

    current_password = _compared_password_field()
    new_password = _new_password_field()


class ConfirmationSchema(StrictSchema):
    """The password once more, before something that cannot be undone."""

    password = _compared_password_field()

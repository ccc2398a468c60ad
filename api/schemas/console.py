"""The console's forms, as its pages send them."""

from marshmallow import fields

from api.fields import about
from api.parsing import StrictSchema

_TOKEN = about("The token that stands in the page, good for that page only.", "IjRmM2Ui.aR9mTw.c2lnbmVk")


class SignInForm(StrictSchema):
    """Who one claims to be, and where to go then."""

    email = fields.String(required=True, metadata=about("The admin's e-mail address.", "admin@example.org"))
    password = fields.String(required=True, metadata=about("The admin's password.", "seven quiet cellos"))
    csrf_token = fields.String(required=True, metadata=_TOKEN)
    next = fields.String(metadata=about("The page of the console to go to.", "/rq/"))


class SignOutForm(StrictSchema):
    """That one of our own pages asks."""

    csrf_token = fields.String(required=True, metadata=_TOKEN)

"""Organizations and their members on the wire."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, validate, validates_schema

from api.fields import InstantText, QueryBoolean, about
from api.paging import PagingSchema, Sort, list_document_of, sort_field
from api.parsing import StrictInteger, StrictSchema, Text
from shared.clock import rfc3339
from shared.domain.accounts import EMAIL_LENGTH_MAX
from shared.domain.organizations import MEMBER, NAME_LENGTH_MAX, OWNER, URL_LENGTH_MAX, find_url_fault
from shared.domain.permissions import Actor
from shared.store.organizations import OrganizationFilters

ORGANIZATION_SORTS: Final = {"name": Sort("text"), "created_at": Sort("instant", descending=True)}
MEMBER_SORTS: Final = {"created_at": Sort("instant"), "name": Sort("text")}

_NAME: Final = "Cello Festival"
_LOGO: Final = "https://cellofestival.example/logo.svg"
_WEBSITE: Final = "https://cellofestival.example/"
_BACKGROUND: Final = "https://cellofestival.example/hall.jpg"


def _http_url(url: str) -> None:
    if fault := find_url_fault(url):
        raise ValidationError(fault)


def _url_field(description: str, example: str) -> Text:
    """An http(s) address or null: shown to clients, fetched by nobody here."""
    metadata = {"format": "uri", **about(description, example)}
    return Text(minimum=1, maximum=URL_LENGTH_MAX, allow_none=True, validate=_http_url, metadata=metadata)


class OrganizationSchema(StrictSchema):
    """The writable fields of an organization. POST and PUT take it whole, PATCH in part (`partial=True`).

    Addresses are http or https, without a user or password; null for none.
    """

    name = Text(
        minimum=1, maximum=NAME_LENGTH_MAX, required=True, metadata=about("What it is called.", _NAME)
    )
    logo_url = _url_field("Address of its logo.", _LOGO)
    website_url = _url_field("Address of its own pages.", _WEBSITE)
    background_url = _url_field("Address of a picture to show behind its events.", _BACKGROUND)


class OrganizationListSchema(PagingSchema):
    """Query of the list of organizations."""

    sort = sort_field(ORGANIZATION_SORTS)
    search = Text(minimum=1, maximum=200, metadata=about("Beginnings of words of the name, all of them."))
    mine = QueryBoolean(metadata=about("Only those that the caller belongs to; needs a token."))


class MemberListSchema(PagingSchema):
    """Query of an organization's members."""

    sort = sort_field(MEMBER_SORTS)


class MemberSchema(StrictSchema):
    """Who shall belong to an organization, by id or by address, and in which role."""

    user_id = StrictInteger(minimum=1, metadata=about("The user's id; or `email`.", 42))
    # `examples` and not `example`: a body that is made of the examples has one of the two
    email = Text(
        minimum=1,
        maximum=EMAIL_LENGTH_MAX,
        metadata={
            **about("The account's address, in any case; or `user_id`."),
            "examples": ["ada@example.org"],
        },
    )
    role = fields.String(
        validate=validate.OneOf([OWNER, MEMBER]),
        load_default=MEMBER,
        metadata=about("Both manage its events; an owner also the organization and its members.", MEMBER),
    )

    @validates_schema
    def _want_one(self, data: dict[str, Any], **_options: object) -> None:
        if ("user_id" in data) == ("email" in data):
            raise ValidationError("Give `user_id` or `email`, one of them.", "user_id")


class LeavingSchema(StrictSchema):
    """Whose membership ends."""

    user_id = StrictInteger(minimum=1, metadata=about("The member's user id; the caller's unless given.", 42))


class OrganizationDocument(StrictSchema):
    """Who stands behind events."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The organization's id.", 3))
    name = fields.String(required=True, metadata=about("What it is called.", _NAME))
    logo_url = fields.String(required=True, allow_none=True, metadata=about("Its logo, if any.", _LOGO))
    website_url = fields.String(
        required=True, allow_none=True, metadata=about("Its own pages, if any.", _WEBSITE)
    )
    background_url = fields.String(
        required=True, allow_none=True, metadata=about("A picture behind its events, if any.", _BACKGROUND)
    )
    created_at = InstantText(
        required=True, metadata=about("When it was made.", "2030-01-10T08:00:00.000000Z")
    )


class MemberUserDocument(StrictSchema):
    """Who belongs to it."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The user's id.", 42))
    name = fields.String(required=True, metadata=about("The user's name.", "Ada Lovelace"))


class MemberDocument(StrictSchema):
    """Somebody who belongs to an organization. Never with an address: who adds by id does not learn one."""

    user = fields.Nested(MemberUserDocument, required=True, metadata=about("Who, as they are now."))
    role = fields.String(
        required=True, validate=validate.OneOf([OWNER, MEMBER]), metadata=about("In which role.", MEMBER)
    )
    created_at = InstantText(required=True, metadata=about("Since when.", "2030-01-15T09:30:00.000000Z"))


OrganizationListDocument: Final = list_document_of(OrganizationDocument)
MemberListDocument: Final = list_document_of(MemberDocument)


def organization_filters(query: Mapping[str, Any], viewer: Actor | None) -> OrganizationFilters:
    """The filters in a loaded OrganizationListSchema, for this viewer."""
    only_ids = viewer.organization_ids if viewer is not None and query.get("mine") else None
    return OrganizationFilters(search=query.get("search"), only_ids=only_ids)


def organization_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """The organization as clients see it."""
    names = ("id", "name", "logo_url", "website_url", "background_url")
    return {**{name: row[name] for name in names}, "created_at": rfc3339(row["created_at"])}


def member_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """One member."""
    return {
        "user": {"id": row["user_id"], "name": row["name"]},
        "role": row["role"],
        "created_at": rfc3339(row["created_at"]),
    }

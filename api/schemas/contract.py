"""What the contract says about itself: its document, its problem codes, its catalogue."""

from typing import Any

from marshmallow import INCLUDE, fields

from api.parsing import StrictSchema
from api.problem_advice import ADVICE
from api.problem_members import MEMBERS
from api.problems import PROBLEMS


class OpenapiDocument(StrictSchema):
    """An OpenAPI 3.1 document."""

    class Meta:
        """Everything else that OpenAPI has."""

        unknown = INCLUDE

    openapi = fields.String(
        required=True, metadata={"description": "The version of OpenAPI.", "example": "3.1.0"}
    )
    info = fields.Dict(
        required=True,
        metadata={"description": "Title and version.", "example": {"title": "Guichet", "version": "0.1.0"}},
    )
    paths = fields.Dict(required=True, metadata={"description": "Every address.", "example": {}})


class ProblemCodeDocument(StrictSchema):
    """One problem code."""

    code = fields.String(required=True, metadata={"description": "Stable.", "example": "sold_out"})
    status = fields.Integer(required=True, metadata={"description": "Its usual HTTP status.", "example": 409})
    title = fields.String(
        required=True, metadata={"description": "What it means.", "example": "No tickets are left."}
    )
    type = fields.String(
        required=True,
        metadata={
            "description": "What stands in a problem document as `type`.",
            "format": "uri-reference",
            "example": "/problems/sold_out",
        },
    )


class ProblemIndexDocument(StrictSchema):
    """Every problem code."""

    items = fields.List(
        fields.Nested(ProblemCodeDocument),
        required=True,
        metadata={"description": "By status, then by code."},
    )


class ProblemMemberDocument(StrictSchema):
    """One fact beside the standard members of a problem document."""

    name = fields.String(required=True, metadata={"description": "Its name.", "example": "available"})
    description = fields.String(
        required=True, metadata={"description": "What it is.", "example": "Tickets that are left."}
    )
    always = fields.Boolean(required=True, metadata={"description": "Whether every such document has it."})
    example = fields.Raw(
        required=True, allow_none=True, metadata={"description": "A value that it may have.", "example": 1}
    )


class ProblemUseDocument(StrictSchema):
    """An operation that answers with the code."""

    method = fields.String(required=True, metadata={"description": "Its method.", "example": "POST"})
    path = fields.String(
        required=True, metadata={"description": "Its address.", "example": "/api/bookings/{event_id}/book"}
    )
    summary = fields.String(
        required=True,
        metadata={"description": "What it does.", "example": "Stands in line for tickets of an event"},
    )


class ProblemPageDocument(ProblemCodeDocument):
    """One problem code, explained."""

    advice = fields.String(
        required=True,
        metadata={"description": "What to do.", "example": "Look at another event, or come back later."},
    )
    members = fields.List(
        fields.Nested(ProblemMemberDocument),
        required=True,
        metadata={"description": "Facts beside the standard members."},
    )
    operations = fields.List(
        fields.Nested(ProblemUseDocument), required=True, metadata={"description": "Who answers with it."}
    )


class LinkDocument(StrictSchema):
    """A link's target."""

    href = fields.String(
        required=True,
        metadata={"description": "The address.", "format": "uri-reference", "example": "/openapi.json"},
    )
    type = fields.String(
        required=True, metadata={"description": "Its media type.", "example": "application/json"}
    )


def _targets(description: str, name: str) -> fields.List[Any]:
    return fields.List(
        fields.Nested(LinkDocument), required=True, data_key=name, metadata={"description": description}
    )


class ApiLinksDocument(StrictSchema):
    """Where one API is described."""

    anchor = fields.String(
        required=True, metadata={"description": "The API.", "format": "uri-reference", "example": "/api"}
    )
    service_desc = _targets("For programs: OpenAPI.", "service-desc")
    service_doc = _targets("For people.", "service-doc")
    status = _targets("Whether it is alive.", "status")


class ApiCatalogDocument(StrictSchema):
    """A set of links (RFC 9264) that says where the API is described (RFC 9727)."""

    linkset = fields.List(
        fields.Nested(ApiLinksDocument), required=True, metadata={"description": "One entry per API."}
    )


def problem_code_document(code: str, *, base_url: str) -> dict[str, Any]:
    """A row of the index."""
    status, title = PROBLEMS[code]
    return {"code": code, "status": status, "title": title, "type": f"{base_url}/problems/{code}"}


def problem_page_document(code: str, operations: list[dict[str, str]], *, base_url: str) -> dict[str, Any]:
    """A code with everything that is known about it."""
    members = [
        {"name": name, "description": member.description, "always": member.always, "example": member.example}
        for name, member in MEMBERS.get(code, {}).items()
    ]
    return {
        **problem_code_document(code, base_url=base_url),
        "advice": ADVICE[code],
        "members": members,
        "operations": operations,
    }


def api_catalog_document(base_url: str) -> dict[str, Any]:
    """The catalogue of this installation."""

    def target(path: str, media_type: str) -> list[dict[str, str]]:
        return [{"href": f"{base_url}{path}", "type": media_type}]

    links = {
        "anchor": f"{base_url}/api",
        "service-desc": target("/openapi.json", "application/json"),
        "service-doc": target("/docs", "text/html"),
        "status": target("/healthz", "application/json"),
    }
    return {"linkset": [links]}

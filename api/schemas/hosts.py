"""Hosts on the wire, as everybody sees them."""

from collections.abc import Mapping
from typing import Any

from api.fields import InstantText, about
from api.parsing import StrictInteger
from api.schemas.event_documents import HostDocument
from shared.clock import rfc3339


class HostProfileDocument(HostDocument):
    """A host as everybody sees them: never the e-mail address."""

    created_at = InstantText(
        required=True, metadata=about("When the account was made.", "2029-11-02T10:00:00.000000Z")
    )
    followers = StrictInteger(
        required=True, minimum=0, metadata=about("How many are told of new events.", 318)
    )
    upcoming_events = StrictInteger(
        required=True, minimum=0, metadata=about("Published events that are not over.", 4)
    )


def host_profile_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A host's public profile."""
    return {
        "id": row["id"],
        "name": row["name"],
        "created_at": rfc3339(row["created_at"]),
        "followers": row["followers"],
        "upcoming_events": row["upcoming_events"],
    }

"""`/admin/audit-log`: who changed what, and why."""

from typing import Final

from flask import Blueprint, Response

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.paging import list_document, page_request
from api.parsing import load_query
from api.responses import NO_STORE, json_response
from api.schemas.audit_log import (
    AUDIT_LOG_SORTS,
    AuditLogListDocument,
    AuditLogListSchema,
    audit_log_document,
    audit_log_filter,
)
from shared.db import transaction
from shared.store.audit_log import list_audit_log

blueprint = Blueprint("admin_audit_log", __name__)

_LIST: Final = AuditLogListSchema()


@blueprint.get("/admin/audit-log")
@describe(
    tag="Audit log",
    auth="admin",
    query=AuditLogListSchema,
    answers={200: Answer("A page of entries.", AuditLogListDocument, headers=("Link", "Cache-Control"))},
)
def audit_log() -> Response:
    """Lists what was changed, the newest first."""
    query = load_query(_LIST)
    asked = page_request(query, AUDIT_LOG_SORTS, id_kind="uuid")
    with transaction(get_container().engine) as session:
        require_actor(session, "admin")
        page = list_audit_log(session, audit_log_filter(query), asked)
    document, headers = list_document([audit_log_document(row) for row in page.rows], page, asked)
    return json_response(document, headers={**headers, **NO_STORE})

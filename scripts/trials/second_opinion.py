"""What `guichet audit`, the product's own judge, says of a trial: a further opinion beside the checker's."""

from scripts.audit import run_audit
from scripts.trials.history import Fault
from shared.services.audit.findings import finding_document
from shared.settings import Settings


def audit_findings(settings: Settings, faults: list[Fault]) -> list[str]:
    """Its findings, but those that say truly what a fault did: a job that was spoilt is set aside, and reported, as is
    what is left of it in Redis.
    """
    tally = run_audit(settings)
    spoilt = {job_id for fault in faults for job_id in fault.spoilt}
    sentences = [str(finding_document(finding)) for finding in tally.findings]
    return [sentence for sentence in sentences if not any(job_id in sentence for job_id in spoilt)]

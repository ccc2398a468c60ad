"""RQ's default serializer becomes JSON in this process, whoever asks for it and by whatever name.

rq-dashboard 0.9 fetches jobs with RQ's default, which is pickle, although our jobs are JSON: whoever can write to
Redis could then run code in the API. The class itself is changed, not a name in some module, so it does not matter
what was imported before.
"""

from rq.serializers import DefaultSerializer, JSONSerializer


def forbid_pickle() -> None:
    """Safe to repeat. Nothing in the API process pickles: our queues are JSON."""
    DefaultSerializer.dumps = staticmethod(JSONSerializer.dumps)
    DefaultSerializer.loads = staticmethod(JSONSerializer.loads)

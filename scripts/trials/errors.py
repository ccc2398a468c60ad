"""What ends a trial without a verdict."""


class TrialError(Exception):
    """The trial itself went wrong: it proves nothing."""

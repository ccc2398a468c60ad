"""Trials: an installation of its own under load while faults are injected, and a checker of what came of it."""

"""The embedded servers, with faults as methods."""

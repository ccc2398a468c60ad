"""The rules, pure: no framework, no clock, no I/O. What is decided here is decided the same everywhere."""

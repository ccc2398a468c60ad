"""The HTTP front: thin. Checks form and rights, asks a service or the line, answers."""

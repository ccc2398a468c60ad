"""A TCP proxy between the processes and a server, which passes bytes until it is told to fail."""

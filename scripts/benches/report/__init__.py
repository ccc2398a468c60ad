"""What `guichet bench` says of what it found: on the terminal, as JSON, as a page."""

"""The command line: `guichet <command>`."""

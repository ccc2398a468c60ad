"""What goes in and out over HTTP, one file a noun."""

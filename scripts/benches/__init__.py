"""What `guichet bench` measures, one file a measurement, and what they share."""

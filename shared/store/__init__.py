"""SQL of the hot path, and reads that need care."""

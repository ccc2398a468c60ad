"""The outside, behind ports: each with its twin in memory."""

"""What the API and the workers both need. Imports nothing from either."""

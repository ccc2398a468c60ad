"""A real PostgreSQL and a real Redis out of wheels, for those who have no servers of their own."""

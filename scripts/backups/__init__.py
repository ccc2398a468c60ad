"""A backup of the pair: Redis first, PostgreSQL second, so that whatever the copy of Redis holds, the copy of
PostgreSQL is not older. Restored, every request accepted before it is there, and no decision is made twice.
"""

"""The load test: fire real bookings, follow each to its decision, judge the whole history."""

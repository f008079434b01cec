"""Decisions: job records, policies, planning and the life of a run. Pure: no I/O, no clock, no threads."""

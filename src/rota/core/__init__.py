"""Decisions: policies, planning, states of jobs and runs, the rules of the claim protocol. Pure: no I/O, no clock, no threads."""

"""Simulated cohorts with planted truth; everything they write is labelled as simulated."""

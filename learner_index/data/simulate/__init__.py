"""Simulated cohorts with planted truth; everything they write is labelled as simulated."""

from learner_index.data.simulate.lus_cohort import SimulatedCohort, simulate_lus

__all__ = ["SimulatedCohort", "simulate_lus"]

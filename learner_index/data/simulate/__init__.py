"""Simulated cohorts with planted truth; everything they write is labelled as simulated."""

from learner_index.data.simulate.brain_cohort import simulate_brain
from learner_index.data.simulate.cohort import SimulatedCohort
from learner_index.data.simulate.lus_cohort import simulate_lus

__all__ = ["SimulatedCohort", "simulate_brain", "simulate_lus"]

"""Cohorts as they come: manifests, scans, simulators, and the records the other layers exchange."""

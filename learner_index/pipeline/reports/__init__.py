"""Reports: one self-contained HTML page about a patient or a cohort, to read, print and keep."""

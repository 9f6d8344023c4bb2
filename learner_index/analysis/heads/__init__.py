"""Kinds of response heads on NumPy and SciPy, one file each."""

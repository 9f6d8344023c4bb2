"""Encoders: torch and timm live here and nowhere else."""

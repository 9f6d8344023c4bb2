"""Nearest patients: filters, references and exact search; faiss lives here and nowhere else."""

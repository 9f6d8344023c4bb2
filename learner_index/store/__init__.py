"""The Zarr store on disk; zarr lives here and nowhere else."""

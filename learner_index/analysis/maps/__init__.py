"""Two-dimensional maps of embeddings: fitted on a sample of scans, then left as they are."""

"""Every use case as one function; commands, notebooks and `open_store` call these."""

"""Questions about change: who changed alike, along which axis, on which path."""

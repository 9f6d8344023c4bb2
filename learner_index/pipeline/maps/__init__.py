"""Maps of cohorts: fitted once, kept, and drawn."""

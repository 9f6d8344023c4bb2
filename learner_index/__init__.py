"""Find the patients who look like this one, and the patients who changed like this one."""

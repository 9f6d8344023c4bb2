"""The response to treatment, learned from a store and predicted."""

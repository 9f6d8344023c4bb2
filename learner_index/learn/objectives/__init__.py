"""What an encoder can be trained for: one file an objective, with its card and its loss."""

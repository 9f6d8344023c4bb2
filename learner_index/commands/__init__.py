"""The command line: each handler parses, calls one pipeline function and prints."""

from learner_index.commands.app import app, main

__all__ = ["app", "main"]

"""The command line: each handler parses, calls one pipeline function and prints."""

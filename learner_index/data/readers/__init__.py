"""One reader per family of file formats, each giving a `Scan`."""

"""Compiles the sources of a profile (`models/<name>/*.toml`) into the tables of a package, and reads them for the host."""

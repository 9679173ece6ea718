"""Formats of the field's files."""

"""The recipe of dcc-ncfm, read as package data."""

"""The recipe of dcc-datadam, read as package data."""

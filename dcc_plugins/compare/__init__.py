"""Comparison of runs and set files: `dcc compare` puts them into tables and pictures for papers."""

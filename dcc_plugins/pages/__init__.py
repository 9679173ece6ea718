"""HTML pages of runs: `dcc report` writes one, `dcc watch` serves one of a running run."""

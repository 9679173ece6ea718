"""The report of runs as one page, and the page that follows a run: `dcc report` and `dcc watch`."""

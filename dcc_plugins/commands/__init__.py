"""Commands that need the core alone: `dcc select`, `dcc eval`, `dcc inspect`, `dcc tune` and `dcc new-plugin`."""

"""Commands that need the core alone: `dcc inspect`, `dcc tune` and `dcc new-plugin`."""

"""Commands that need only the core: `dcc inspect`, `dcc tune` and `dcc new-plugin`."""

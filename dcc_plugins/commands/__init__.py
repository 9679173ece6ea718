"""Commands that need the core alone, such as `dcc plugins`, `dcc show`, `dcc select`, `dcc eval` and `dcc inspect`."""

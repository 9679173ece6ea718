"""Images on the terminal: what `--preview` shows."""

"""Continual learning: a network learns stages one after another, and replays a memory of the earlier ones."""

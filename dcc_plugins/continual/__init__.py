"""Continual learning: a network learns stages in sequence and replays a memory of earlier ones."""

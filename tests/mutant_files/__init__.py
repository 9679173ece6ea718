"""Recipes and tables that break a rule, and of each kind one that breaks none."""

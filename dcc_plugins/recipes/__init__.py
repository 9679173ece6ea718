"""Recipes: named option values, read as package data."""

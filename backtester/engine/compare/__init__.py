"""Comparing runs: figures side by side, what was different about them, and what the difference is made of."""

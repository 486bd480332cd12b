"""Feeds: rows of the lake as what the clock merges, a window at a time."""

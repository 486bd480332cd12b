"""Indicators: one recurrence each, over one value or over an array, equal bit for bit."""

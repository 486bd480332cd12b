"""Trades and metrics, as folds of the log."""

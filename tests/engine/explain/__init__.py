"""Explaining runs."""

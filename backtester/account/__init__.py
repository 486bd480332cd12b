"""Balances, positions, snapshots and the equity curve."""

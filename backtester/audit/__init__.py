"""The log: its lines, its chain, and an independent fold of it."""

"""Execution algorithms: what slices an order into parts that are orders of their own."""

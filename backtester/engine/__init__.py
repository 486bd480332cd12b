"""The composition root: prepares, wires and runs, and owns the run's folder."""

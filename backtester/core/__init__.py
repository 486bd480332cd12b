"""The ground: events, topics, bus, clock, instruments, numbers, folds, time, errors. No I/O, no wall clock."""

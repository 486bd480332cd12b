"""The account loop of a signal, compiled: many combinations at the speed of machine code, with the event engine's fills."""

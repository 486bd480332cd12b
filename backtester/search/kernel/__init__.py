"""The account loop of a signal, compiled: at the speed of machine code, with the fills of the event engine."""

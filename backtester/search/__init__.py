"""Search: many runs of one strategy, by what they came to. Above the engine, below the command line."""

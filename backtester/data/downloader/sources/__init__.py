"""Where candles come from beside the bulk download: one protocol, found by name, and what serves it."""

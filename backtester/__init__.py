"""An honest, event-driven backtesting engine for crypto markets: a run is its log."""

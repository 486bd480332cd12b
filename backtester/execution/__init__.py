"""The simulated exchange component. The only component that differs between backtest and live."""

"""The value of options: Black-76, implied volatility, Greeks. Pure float functions over arrays, no I/O."""

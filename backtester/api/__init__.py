"""What scripts and notebooks call: `import backtester as bt`. Everything here stands on the engine; docs/api.md."""

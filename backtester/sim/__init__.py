"""The exchange's rules as pure functions of integers: matching, sizing, fees, slippage."""

"""Indicators, judged by fractions, by their own other face, and by TA-Lib."""

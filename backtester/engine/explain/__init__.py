"""Explaining a run by its log: what caused what, from the candle to the fill and on."""

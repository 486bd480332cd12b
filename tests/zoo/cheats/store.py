"""Beside the strategies: where they put what they know."""

MEANS: dict[str, float] = {}
CLOSES: dict[tuple[str, int], float] = {}

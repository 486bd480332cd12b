"""A matplotlib figure that needs no screen, and that a notebook shows by itself."""

import io

from matplotlib.figure import Figure

DPI = 150


class Picture(Figure):
    """A figure as matplotlib has them: `savefig`, `axes` and all else are there."""

    def png(self) -> bytes:
        """Return it as PNG, without a time stamp: equal pictures are equal bytes."""
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
        return out.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()

"""report.html: one self-contained page of a run, made of plain values and packed columns."""

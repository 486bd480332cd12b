"""The exchange's own rules by date: read from the venue's answers, kept in the lake, looked up at a time."""

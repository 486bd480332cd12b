"""The proof against looking ahead: what `bt check` does, and the certificate that it leaves."""

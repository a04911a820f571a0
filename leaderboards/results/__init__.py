"""What entries did: rows that are only ever appended, each bound to the one before."""

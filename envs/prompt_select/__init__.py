"""Choose a prompt for a question."""

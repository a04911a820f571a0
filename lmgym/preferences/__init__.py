"""Preference data: pairs, their files, who labels them and which to label next."""

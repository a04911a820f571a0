"""Ratings of players from matches of two."""

"""Kuhn poker in words: three cards, one bet."""

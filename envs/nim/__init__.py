"""Nim in words: heaps of matches, and whoever takes the last one wins."""

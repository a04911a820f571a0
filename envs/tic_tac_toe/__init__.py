"""Tic-tac-toe in words: three in a row."""

"""Matching pennies, again and again."""

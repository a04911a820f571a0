"""Tournaments: who meets whom, matches in many processes, journals, and what came of them."""

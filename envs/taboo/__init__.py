"""Adversarial Taboo: make the other say a word without saying it."""

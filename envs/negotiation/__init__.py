"""Negotiation: divide items that are worth different things to both."""

"""Reward models: encoders, heads, and what fits, keeps and loads them."""

"""Rewards for environments that are not ours."""

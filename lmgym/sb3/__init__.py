"""Stable-Baselines3 on top of the token environments."""

from lmgym.sb3.extractor import TokenFeatures

__all__ = ["TokenFeatures"]

"""Figures over runs and tasks, with intervals (Agarwal et al. 2021)."""

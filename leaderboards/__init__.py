"""Matches, ratings, submissions and result pages."""

if __name__ != "lmgym.leaderboards":
    raise ImportError("this folder is the package lmgym.leaderboards: import it by that name")

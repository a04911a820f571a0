"""The learners: one file per algorithm, read top to bottom."""

if __name__ != "lmgym.agents":
    raise ImportError("this folder is the package lmgym.agents: import it by that name")

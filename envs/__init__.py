"""The worlds: one folder each, with its rules, its adapter and its card."""

if __name__ != "lmgym.envs":
    raise ImportError("this folder is the package lmgym.envs: import it by that name")

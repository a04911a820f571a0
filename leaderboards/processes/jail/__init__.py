"""What runs between us and a program of strangers: it locks the program in, starts it and ends it.

`lmgym.leaderboards.processes.sandbox` starts `supervisor` in an interpreter of its own, with the
standard library and this folder alone, so nothing here imports anything of the package around it.
"""

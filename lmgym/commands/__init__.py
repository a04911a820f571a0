"""The commands of `lmgym`, one file each; `lmgym.cli` finds them by name."""

"""`lmgym/MiniWoB-<task>-v0`: the tasks of MiniWoB++ in Chromium, driven by text commands."""

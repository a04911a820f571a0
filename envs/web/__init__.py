"""Web sites with exact goals: the worlds `lmgym/Web-v0` and `lmgym/WebGoal-v0`."""

"""`lmgym/GuessNumber-v0`: a multi-turn world, higher or lower."""

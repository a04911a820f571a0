"""`lmgym/Math-v0`: mathematics with answers that are verified exactly."""

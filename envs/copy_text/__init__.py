"""`lmgym/Copy-v0`: a diagnostic world with a known optimum."""

"""`lmgym/PromptSelect-v0`: choose a prompt for each question, from logged trials."""

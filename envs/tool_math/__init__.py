"""`lmgym/ToolMath-v0`: arithmetic with a calculator that the agent may call."""

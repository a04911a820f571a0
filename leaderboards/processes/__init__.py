"""Programs of strangers as players: child processes in a sandbox that speak JSON, a line at a time.

`ProcessAgent` starts one and asks it, `ProcessPlayer` lets it play games. No code of a stranger
runs in our process, and nothing of ours lies in its memory.
"""

from .process_agent import ProcessAgent
from .process_player import ProcessPlayer
from .sandbox import Limits, check_sandbox, sandbox_problem

__all__ = ["Limits", "ProcessAgent", "ProcessPlayer", "check_sandbox", "sandbox_problem"]

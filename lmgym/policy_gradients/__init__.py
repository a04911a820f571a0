"""What PPO, REINFORCE and GRPO share: returns, advantages, losses, and the loop around them.

The submodules are imported one by one, because most of them load torch.
"""

__all__: list[str] = []

"""What learners share: batches, run folders, checkpoints, statistics and displays.

The submodules are imported one by one, because some of them load torch or matplotlib.
"""

__all__: list[str] = []

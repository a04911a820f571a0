"""Language MDPs as standard reinforcement-learning environments.

Importing this package registers its worlds with gymnasium and loads nothing heavy.

Example:
    >>> import gymnasium as gym
    >>> import lmgym
    >>> env = gym.make("lmgym/Math-v0")
    >>> observation, info = env.reset(seed=0)
    >>> sorted(observation)
    ['length', 'remaining', 'tokens']
"""

__version__ = "0.1.0"
__all__ = ["__version__"]

from lmgym.catalog import register_all

register_all()
del register_all

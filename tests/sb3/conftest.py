"""What tests of Stable-Baselines3 share."""

import lmgym

assert lmgym  # registers the environments

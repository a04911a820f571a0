"""Agents in the game of choosing an agent: what payoffs against each other say."""

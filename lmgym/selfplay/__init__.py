"""Self-play: many games at once, opponents, averages, and what is measured of policies."""

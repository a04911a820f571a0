"""Write what a hidden taste prefers."""

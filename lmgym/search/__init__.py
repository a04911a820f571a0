"""Search over texts: a prefix tree of ids, a decoder that shares its cache along it, and a search.

Nothing heavy is imported here: take `PrefixTree` from `lmgym.search.prefix_tree`, `tree_decoder`
from `lmgym.search.tree_decoder` and `best_first` from `lmgym.search.best_first`.
"""

"""Language policies: causal language models that sample and score token ids.

Nothing heavy is imported here: take `load_policy` and `load_renderer` from
`lmgym.policies.loading`, and `LanguagePolicy` from `lmgym.policies.language_policy`.
"""

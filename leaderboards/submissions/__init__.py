"""Submissions: folders of strangers with a manifest, checked before anything in them is used."""

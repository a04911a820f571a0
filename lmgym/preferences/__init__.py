"""Preference data: pairs, their files, who labels them and which to label next."""

from lmgym.preferences.acquisition import acquire
from lmgym.preferences.annotators import (
    Annotator,
    BradleyTerryAnnotator,
    FlipAnnotator,
    GoldAnnotator,
)
from lmgym.preferences.pairing import label_pairs, sample_pairs
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair, Trial
from lmgym.preferences.readers import read_preferences
from lmgym.preferences.trials import read_choices, read_trials

__all__ = [
    "Annotator",
    "BradleyTerryAnnotator",
    "FlipAnnotator",
    "GoldAnnotator",
    "PreferenceDataset",
    "PreferencePair",
    "Trial",
    "acquire",
    "label_pairs",
    "read_choices",
    "read_preferences",
    "read_trials",
    "sample_pairs",
]

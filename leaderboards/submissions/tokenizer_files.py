"""A stranger's tokenizer: `tokenizer.json` of the tokenizers library, and what stands beside it.

The library is written in Rust, and some files make it panic, which no `except Exception` catches,
or take as long as their author likes: regular expressions that backtrack, replacements that
multiply a text, padding to a million ids. So each part has to be of a kind that is listed here,
with values that are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

from .json_files import read_object
from .rules import (
    MOST_IDS,
    Rule,
    an_object,
    any_of,
    anything,
    broken_rules,
    flag,
    list_of,
    number,
    one_of,
    or_none,
    same_as,
    size,
    text,
)
from .templates import check_template

__all__ = ["TOKENIZER_FILES", "check_tokenizer"]

TOKENIZER_FILE, SETTINGS_FILE = "tokenizer.json", "tokenizer_config.json"
SPECIALS_FILE, TEMPLATE_FILE = "special_tokens_map.json", "chat_template.jinja"
TOKENIZER_FILES = (TOKENIZER_FILE, SETTINGS_FILE, SPECIALS_FILE, TEMPLATE_FILE)

_LARGE, _SMALL = 32 * 2**20, 2**20
_MOST_PARTS, _MOST_DEPTH, _MOST_GROWING = 20, 4, 2

_SEQUENCES = ("normalizers", "pretokenizers", "processors", "decoders")

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_KNOWN_PATTERNS = (
    _WORDS + r"\p{N}" + _REST,  # Qwen 2 and 3
    _WORDS + r"\p{N}{1,3}" + _REST,  # Llama 3, SmolLM 3
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",  # GPT-2
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",  # the same
)
"""Regular expressions that take no longer than their text is long."""


def check_tokenizer(folder: Path, names: Mapping[str, object], vocab_size: int) -> list[str]:
    """What is wrong with the files of a tokenizer.

    Args:
        folder: where they lie.
        names: of the files that are there.
        vocab_size: ids that the model has.
    """
    problems = [
        f"{name}: is missing; save the tokenizer with the model, as save_pretrained does"
        for name in (TOKENIZER_FILE, SETTINGS_FILE)
        if name not in names
    ]
    for name, check in _checks(folder, vocab_size).items():
        if name in names:
            try:
                problems += check()
            except LmgymError as error:
                problems.append(str(error))
    return problems


def _checks(folder: Path, vocab_size: int) -> dict[str, Callable[[], list[str]]]:
    """What looks at each file."""

    def read(name: str, most: int = _SMALL) -> dict[str, Any]:
        return read_object(folder, name, most)

    return {
        TOKENIZER_FILE: lambda: _check_main(read(TOKENIZER_FILE, _LARGE), vocab_size),
        SETTINGS_FILE: lambda: _check_settings(read(SETTINGS_FILE)),
        SPECIALS_FILE: lambda: broken_rules(read(SPECIALS_FILE), _SPECIALS, f"{SPECIALS_FILE}: "),
        TEMPLATE_FILE: lambda: _check_template_file(folder),
    }


def _check_template_file(folder: Path) -> list[str]:
    try:
        template = (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        return [f"{TEMPLATE_FILE}: is no UTF-8 at byte {error.start}"]
    return check_template(template, TEMPLATE_FILE)


def _check_settings(settings: Mapping[str, Any]) -> list[str]:
    problems = broken_rules(settings, _SETTINGS, f"{SETTINGS_FILE}: ", _why_not)
    template = settings.get("chat_template")
    if isinstance(template, str):
        problems += check_template(template, f"{SETTINGS_FILE}: chat_template")
    return problems


def _why_not(name: str) -> str:
    is_code = name in ("auto_map", "trust_remote_code")
    return ": it names code, and no code of a submission is run" if is_code else "; take it out"


def _check_main(tokenizer: Mapping[str, Any], vocab_size: int) -> list[str]:
    place = f"{TOKENIZER_FILE}: "
    problems = broken_rules(tokenizer, _MAIN, place)
    if problems:
        return problems
    problems += _check_model(tokenizer.get("model"), vocab_size)
    for added in tokenizer.get("added_tokens") or []:
        problems += broken_rules(added, _ADDED, f"{place}added_tokens: ")[:1]
        if isinstance(added.get("id"), int) and added["id"] >= vocab_size:
            problems.append(f"{place}added_tokens: id {added['id']} is beyond the model's ids")
    for name, kinds in _PARTS.items():
        if tokenizer.get(name) is not None:
            problems += _Parts(kinds, f"{place}{name}").check(tokenizer[name], 1)
    return problems[:20]


def _check_model(model: Any, vocab_size: int) -> list[str]:
    place = f"{TOKENIZER_FILE}: model"
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        return [f"{place} is of another type than BPE, which is the one that is read"]
    problems = broken_rules(model, _BPE, f"{place}.")
    vocab = model.get("vocab")
    if not isinstance(vocab, dict) or not 1 <= len(vocab) <= MOST_IDS:
        return [*problems, f"{place}.vocab is no object of 1 to {MOST_IDS} ids"]
    is_id = size(vocab_size - 1, 0)
    wrong = next(
        (f"{name[:40]!a}: {is_id(index)}" for name, index in vocab.items() if is_id(index)), ""
    )
    if wrong:
        return [*problems, f"{place}.vocab: {wrong}"]
    if len(set(vocab.values())) < len(vocab):
        problems.append(f"{place}.vocab gives an id twice")
    return problems


class _Parts:
    """What a normalizer, a pre-tokenizer, a post-processor or a decoder is made of.

    Args:
        kinds: of parts that are allowed, with the rules of their values.
        place: what each problem begins with.
    """

    def __init__(self, kinds: Mapping[str, Mapping[str, Rule]], place: str) -> None:
        self._kinds, self._place = kinds, place
        self._n_parts = self._n_growing = 0

    def check(self, part: Any, depth: int) -> list[str]:
        """What is wrong with a part and those within it."""
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str) or kind not in (*self._kinds, "Sequence"):
            known = ", ".join((*self._kinds, "Sequence"))
            return [f"{self._place} is of type {str(kind)[:40]!a}; allowed: {known}"]
        self._n_parts += 1
        self._n_growing += kind in ("Replace", "Prepend")
        if depth > _MOST_DEPTH or self._n_parts > _MOST_PARTS or self._n_growing > _MOST_GROWING:
            return [
                f"{self._place} has more than {_MOST_PARTS} parts, {_MOST_DEPTH} levels of them, or"
                f" {_MOST_GROWING} that lengthen a text"
            ]
        values = {name: value for name, value in part.items() if name != "type"}
        if kind == "Sequence":
            return self._check_sequence(values, depth)
        problems = broken_rules(values, self._kinds[kind], f"{self._place}: {kind}.")
        if kind == "TemplateProcessing" and not problems:
            problems += self._check_template(values)
        return problems

    def _check_sequence(self, values: Mapping[str, Any], depth: int) -> list[str]:
        name, inner = next(iter(values.items()), ("", None))
        if (
            len(values) != 1
            or name not in _SEQUENCES
            or not isinstance(inner, list)
            or len(inner) > _MOST_PARTS
        ):
            return [f"{self._place}: a Sequence is a list of up to {_MOST_PARTS} parts"]
        return [problem for part in inner for problem in self.check(part, depth + 1)]

    def _check_template(self, values: Mapping[str, Any]) -> list[str]:
        """What the library does not look at before it uses it."""
        specials = values.get("special_tokens", {})
        pieces = [*values.get("single", []), *values.get("pair", [])]
        is_right = all(map(_is_special, specials.items())) and all(
            _is_piece(piece, specials) for piece in pieces
        )
        return [] if is_right else [f"{self._place}: TemplateProcessing names unknown tokens"]


def _is_special(entry: tuple[str, Any]) -> bool:
    name, value = entry
    if not isinstance(value, dict) or set(value) != {"id", "ids", "tokens"} or value["id"] != name:
        return False
    found, tokens = value["ids"], value["tokens"]
    are_ids, are_texts = list_of(size(MOST_IDS, 0), 8), list_of(text(100, 1), 8)
    return not are_ids(found) and not are_texts(tokens) and len(found) == len(tokens) > 0


def _is_piece(piece: dict[str, Any], specials: Mapping[str, Any]) -> bool:
    kind, inner = next(iter(piece.items()), ("", None))
    if len(piece) != 1 or not isinstance(inner, dict) or set(inner) != {"id", "type_id"}:
        return False
    known = specials if kind == "SpecialToken" else ("A", "B") if kind == "Sequence" else ()
    return (
        isinstance(inner["id"], str) and inner["id"] in known and not size(8, 0)(inner["type_id"])
    )


def _pattern(value: Any) -> str:
    """A text to look for, or a regular expression that is known."""
    if isinstance(value, dict) and set(value) == {"String"}:
        return text(16, 1)(value["String"])
    if isinstance(value, dict) and value.get("Regex") in _KNOWN_PATTERNS:
        return ""
    return "a String, or the regular expression of GPT-2, Llama 3 or Qwen is allowed"


def _special(value: Any) -> str:
    """A special token: a text, or an object with its text."""
    if isinstance(value, dict):
        return "; ".join(broken_rules(value, _TOKEN, "in it, "))
    return or_none(text(100))(value)


def _specials_by_name(value: Any) -> str:
    if not isinstance(value, dict) or len(value) > 1000:
        return "an object of 1000 tokens at most is allowed"
    return next(filter(None, map(_special, value.values())), "")


_TOKEN: dict[str, Rule] = {
    "content": text(100, 1),
    **dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized", "special"), flag),
    "__type": one_of("AddedToken"),
}
_ADDED: dict[str, Rule] = {**_TOKEN, "id": size(MOST_IDS, 0)}
_MAIN: Mapping[str, Rule] = {
    "version": one_of("1.0"),
    "truncation": same_as(None),
    "padding": same_as(None),
    "added_tokens": or_none(list_of(an_object, 10_000)),
    "model": anything,
    **dict.fromkeys(("normalizer", "pre_tokenizer", "post_processor", "decoder"), anything),
}
_BPE: Mapping[str, Rule] = {
    "type": one_of("BPE"),
    "dropout": one_of(None, 0, 0.0),  # others draw lots
    "unk_token": or_none(text(100)),
    # what is cut off from tokens may end within a letter, over which the library aborts
    **dict.fromkeys(("continuing_subword_prefix", "end_of_word_suffix"), one_of(None, "")),
    **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), flag),
    "vocab": anything,
    "merges": list_of(any_of(text(1000), list_of(text(500), 2)), 4 * MOST_IDS),
}
_NOTHING: Mapping[str, Rule] = {}
_BEHAVIOR = one_of("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
_BYTES: Mapping[str, Rule] = dict.fromkeys(("add_prefix_space", "trim_offsets", "use_regex"), flag)
_METASPACE: Mapping[str, Rule] = {
    "replacement": text(1),
    "prepend_scheme": one_of("always", "first", "never"),
    "split": flag,
    "add_prefix_space": flag,
}
_REPLACE: Mapping[str, Rule] = {"pattern": _pattern, "content": text(4)}
_PARTS: Mapping[str, Mapping[str, Mapping[str, Rule]]] = {
    "normalizer": {
        **dict.fromkeys(("NFC", "NFD", "NFKC", "NFKD", "Lowercase"), _NOTHING),
        "Prepend": {"prepend": text(4)},
        "Replace": _REPLACE,
        "Strip": {"strip_left": flag, "strip_right": flag},
    },
    "pre_tokenizer": {
        "ByteLevel": _BYTES,
        "Digits": {"individual_digits": flag},
        "Metaspace": _METASPACE,
        "Split": {"pattern": _pattern, "behavior": _BEHAVIOR, "invert": flag},
        "Punctuation": {"behavior": _BEHAVIOR},
        "Whitespace": {},
        "WhitespaceSplit": {},
    },
    "post_processor": {
        "ByteLevel": _BYTES,
        "TemplateProcessing": {
            "single": list_of(an_object, 8),
            "pair": list_of(an_object, 8),
            "special_tokens": an_object,
        },
    },
    "decoder": {
        "ByteLevel": _BYTES,
        "ByteFallback": {},
        "Fuse": {},
        "Metaspace": _METASPACE,
        "Replace": _REPLACE,
        "Strip": {"content": text(1), "start": size(16, 0), "stop": one_of(0)},
    },
}
_NAMES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "pad_token",
    "sep_token",
    "cls_token",
    "mask_token",
)
_SPECIALS: dict[str, Rule] = {
    **dict.fromkeys(_NAMES, _special),
    "additional_special_tokens": or_none(list_of(_special, 1000)),
    "extra_special_tokens": any_of(list_of(_special, 1000), _specials_by_name),
}
_CLASSES = (
    "PreTrainedTokenizer",
    "LlamaTokenizer",
    "Qwen2Tokenizer",
    "GPT2Tokenizer",
    "GPTNeoXTokenizer",
)
_FLAGS = (
    "add_bos_token",
    "add_eos_token",
    "add_prefix_space",
    "clean_up_tokenization_spaces",
    "is_local",
    "local_files_only",
    "legacy",
    "spaces_between_special_tokens",
    "split_special_tokens",
    "use_default_system_prompt",
)
_SETTINGS: Mapping[str, Rule] = {
    **_SPECIALS,
    **dict.fromkeys(_FLAGS, or_none(flag)),
    "added_tokens_decoder": _specials_by_name,
    "backend": one_of("tokenizers"),
    "chat_template": or_none(text(2**15)),
    "errors": one_of("replace"),
    "model_input_names": list_of(text(40), 8),
    "model_max_length": number(1, 1e31),
    "model_specific_special_tokens": _specials_by_name,
    "padding_side": one_of("left", "right"),
    "truncation_side": one_of("left", "right"),
    "tokenizer_class": one_of(
        "TokenizersBackend", *_CLASSES[1:], *(f"{name}Fast" for name in _CLASSES)
    ),
}

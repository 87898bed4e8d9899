# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""docs/configuration.md as data: the rows of its tables, and the values that are refused. Of our own options the table
in the code says what a row must say.

A row is `| key | type, unit | default | meaning | errors |`. "How to read the tables" on the page says what stands in
the cells. Read are the key, the values of the default, and refused values with their exception.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from nemo.utils.options import BOOL, OPTIONS, Integers, Option

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
# Labels of values that hold for a config, the narrower one first.
CONFIGS = {
    "nest_fast-conformer_streaming": (),
    "nest_hierarchical_streaming": ("hierarchical",),
    "finetune_streaming": ("fine-tuning",),
    "finetune_streaming_ctc": ("CTC", "fine-tuning"),
    "finetune_streaming_rnnt": ("RNN-T", "fine-tuning"),
}
MISSING = "if missing"
VALUE = re.compile(r"(?:(hierarchical|fine-tuning|CTC|RNN-T|if missing) )?`([^`]+)`")
REFUSED = re.compile(r"(fine-tuning: )?(`[^`]+`(?:, `[^`]+`)*): (\w+)")
CODE = re.compile(r"`([^`]+)`")
ONLY_FINE_TUNING = ("pretrained", "freeze_encoder_steps", "model.tokenizer", "model.model_defaults")

# A model that is built in a moment, with all blocks of the config in force.
TINY = """
    model.train_ds=null model.validation_ds=null model.num_classes=16 model.encoder.d_model=16 model.encoder.n_layers=2
    model.encoder.n_heads=4 model.encoder.ff_expansion_factor=1 model.encoder.subsampling_conv_channels=4
    model.encoder.pos_emb_max_len=64 model.hierarchical_context.schedule=[[0,[40,0]],[1,[320,0]]]
    model.curriculum_context.enabled=true
""".split()


class Row(NamedTuple):
    """A key of the page; `defaults` are by label, "" for the shipped value."""

    key: str
    values: str
    is_ours: bool
    defaults: dict[str, Any]
    errors: str

    def label_for(self, config: str) -> str:
        """The label whose value the page gives a shipped config."""
        return next((label for label in CONFIGS[config] if label in self.defaults), "")

    def shown_for(self, config: str) -> Any:
        """The value that the page says a shipped config has."""
        return self.defaults.get(self.label_for(config))

    @property
    def if_missing(self) -> Any:
        """The value that is meant where the key is left out."""
        return self.defaults.get(MISSING, self.defaults.get(""))


class Refused(NamedTuple):
    """A value that the page says is refused."""

    key: str
    value: Any
    error: str
    in_fine_tuning: bool


def value_of(text: str) -> Any:
    """A value as a config has it, interpolations as they are."""
    return OmegaConf.to_container(OmegaConf.create(f"value: {text}"), resolve=False)["value"]


def tables() -> Iterator[tuple[str, list[str]]]:
    """The first word of the header, and the cells, of each row of the page's tables."""
    header = ""
    for line in PAGE.splitlines():
        if not line.startswith("|"):
            header = ""
            continue
        cells = [cell.strip() for cell in line[1:-1].split(" | ")]
        if header and not cells[0].startswith("---"):
            yield header, cells
        header = header or cells[0]


def cells_of(header: str) -> dict[str, list[str]]:
    """The rows of a table, by the code in their first cell."""
    return {cells[0].strip("`"): cells for found, cells in tables() if found == header}


def read_rows() -> Iterator[Row]:
    """The rows of all tables of keys."""
    for header, cells in tables():
        if header != "key":
            continue
        key, values, default, _, errors = cells
        found = [(part, VALUE.fullmatch(part)) for part in default.split("; ")]
        if wrong := [part for part, match in found if match is None]:
            raise ValueError(f"{key}: cannot read the default {wrong[0]!r}")
        defaults = {match[1] or "": value_of(match[2]) for _, match in found}
        yield Row(key.strip("*`"), values, key.startswith("**"), defaults, errors)


def own_options() -> Iterator[tuple[str, Option]]:
    """Our options, by their dotted names; a block whose keys are options is none."""
    for section, options in OPTIONS.items():
        for key, option in options.items():
            name = f"{section}.{key}".lstrip(".")
            if name not in OPTIONS:
                yield name, option


def shown_values(option: Option) -> str:
    """The second cell of an option's row."""
    values, unit = option.values, f", {option.unit}" if option.unit else ""
    if isinstance(values, Integers):
        return f"int from {values.minimum}{unit}{', or null' if values.or_null else ''}"
    if isinstance(values, str):
        return f"{values}{unit}"
    *others, last = ["bool"] * (True in values) + ["null" if v is None else f"`{v}`" for v in values if v not in BOOL]
    return f"{', '.join(others)} or {last}" if others else last


def wrong_values(option: Option) -> list[Any]:
    """Values that an option must not have; none where its class checks it by itself."""
    if isinstance(option.values, Integers):
        return [option.values.minimum - 1, 1.5, *([] if option.values.or_null else [None])]
    return [] if isinstance(option.values, str) else ["other", *([] if None in option.values else [None])]


def read_refused() -> Iterator[Refused]:
    """What is refused of our options by the table of them, and of all others by the last cells of the page."""
    for name, option in own_options():
        if "_ds." not in name and "tokenizer" not in name:
            for value in wrong_values(option):
                yield Refused(name, value, "ValueError", name.startswith(ONLY_FINE_TUNING))
    for row in read_rows():
        for found in filter(None, map(REFUSED.fullmatch, row.errors.split("; "))):
            in_fine_tuning = bool(found[1]) or row.key.startswith(ONLY_FINE_TUNING)
            for text in CODE.findall(found[2]):
                yield Refused(row.key, value_of(text), found[3], in_fine_tuning)


def leaves(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a config; a list is a value."""
    for name, value in section.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

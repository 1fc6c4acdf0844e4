"""Says what to do next as it is typed: errors name Python keywords, the command line has flags and words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

#: Keywords that a flag of another name stands for, and the unit that a bare number of them has there.
OTHER_NAME = {"minutes": ("--time-budget", "m"), "suffix": ("--format", ""), "folds": ("--folds", "")}
#: Verbs whose options are set by one flag, and that flag.
SET = {"measure": "--set"}

_KEYWORD = re.compile(r"(?<![\w.-])([a-z_]+)=([^\s,;)]*[^\s,;).])?")


def typed(text: str, verb: Any) -> str:
    """A sentence for the command line: keywords of Python become what is typed after a verb.

    `only_common=True` becomes `--only-common`, `folds=3` becomes `--folds 3`; settings that the verb takes as words,
    such as `width=24` of a fit, stay. `segwright.predict` becomes `segwright predict`.

    Args:
        text: What to do next, as an error says it.
        verb: The command (of click) that was given; `None` where none was understood.
    """
    text = re.sub(r"\bsegwright\.([a-z]+)\b(\(\))?", r"segwright \1", text)
    if verb is None:
        return text
    flags = dict(_flags(verb.params))
    return _KEYWORD.sub(lambda found: _typed(found, flags, verb.name), text)


def _typed(found: re.Match[str], flags: dict[str, tuple[str, bool]], verb: str) -> str:
    name, value = found[1], found[2] or ""
    other, unit = OTHER_NAME.get(name, ("", ""))
    if other and any(other == flag for flag, _ in flags.values()):
        return f"{other} {value}{unit if value.replace('.', '').isdigit() else ''}".rstrip()
    if name in flags:
        flag, is_switch = flags[name]
        return flag if is_switch else f"{flag} {value}".rstrip()
    return f"{SET[verb]} {found[0]}" if verb in SET else found[0]


def _flags(params: Iterable[Any]) -> Iterable[tuple[str, tuple[str, bool]]]:
    """Python's name of each flag, and whether it is one without a value."""
    for one in params:
        long = [name for name in one.opts if name.startswith("--")]
        if long:
            yield long[0].removeprefix("--").replace("-", "_"), (long[0], bool(getattr(one, "is_flag", False)))

"""`segwright doctor`: what this installation has and can do."""

from __future__ import annotations

from segwright.cli.options import Json, Quiet


def doctor(as_json: Json = False, quiet: Quiet = False) -> None:
    """Print machine, versions, and every table of parts with the origin of each row."""
    from segwright.api.provenance import examine
    from segwright.cli.output import emit

    found = examine()
    lines = [f"{name:14} {value}" for name, value in found["machine"].items()]
    for family, rows in found["tables"].items():
        lines.append(f"{family:14} {', '.join(rows)}")
    emit(found, "\n".join(lines), as_json=as_json)

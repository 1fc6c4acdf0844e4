"""`segwright demo`: the whole job on phantoms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segwright.cli.options import Device, Json, Quiet

if TYPE_CHECKING:
    from segwright.api.demo import Demo

Names = Annotated[
    list[str] | None,
    typer.Argument(help="What to show (see --list), and recipe fields as key=value.", show_default=False),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder to work in.")]
Minutes = Annotated[float | None, typer.Option("--minutes", help="Minutes for each fit.", show_default=False)]
Recipe = Annotated[
    str | None, typer.Option("-r", "--recipe", help="Another recipe than the demonstration's.", show_default=False)
]


def demo(
    names: Names = None,
    out: Out = Path("demo"),
    minutes: Minutes = None,
    recipe: Recipe = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the phantoms.")] = 0,
    only_data: Annotated[bool, typer.Option("--only-data", help="Only draw the scans, into -o.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List what can be shown.")] = False,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw phantoms, fit them, predict held-out ones, and show scores and report."""
    from segwright.api.demo import PLAIN, show_of
    from segwright.planning.recipe_book import parse_overrides

    if list_:
        _list(as_json)
        return
    words = names or []
    wanted = [word for word in words if "=" not in word] or list(PLAIN)
    fields = parse_overrides([word for word in words if "=" in word])
    if recipe is not None:
        fields["recipe"] = recipe
    for name in wanted:
        show_of(name)  # a slip in the last name is told before the first minutes are spent
    if only_data:
        _draw(wanted, out, seed=seed, as_json=as_json, quiet=quiet)
        return
    done = []
    for name in wanted:
        wishes = {"minutes": minutes, "seed": seed, "device": device, **fields}
        done.append(_show(name, out / name, wishes, as_json=as_json, quiet=quiet))
    if as_json:
        from segwright.cli.output import emit

        emit(done, "", as_json=True)


def _show(name: str, folder: Path, wishes: dict[str, Any], *, as_json: bool, quiet: bool) -> dict[str, Any]:
    """One demonstration; returns what `--json` prints of it."""
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen

    with Screen(f"Demonstration: {name}", quiet=quiet) as screen:
        from segwright.api.demo import demo as run_demo

        result = run_demo(name, folder, listen=screen.listen, **wishes)
    plain = result.plain
    shown = [(name, result)] + ([(f"{name}, plain network", plain)] if plain is not None else [])
    if not as_json:
        emit({}, "\n".join(_scores(title, one) for title, one in shown), as_json=False)
    document = {"name": name, "run": str(result.run.folder), "held_out": result.held_out.model_dump(mode="json")}
    if plain is not None:
        document["plain"] = {"run": str(plain.run.folder), "held_out": plain.held_out.model_dump(mode="json")}
    return document


def _scores(title: str, done: Demo) -> str:
    """Both tables of a fit, and where the rest lies."""
    from segwright.report.text import score_table

    said, held_out = done.run.report.notes, done.held_out
    unsaid = held_out.model_copy(update={"notes": tuple(note for note in held_out.notes if note not in said)})
    text = f"\n{title}: out of fold\n{score_table(done.run.report)}\n\n{title}: held-out phantoms\n"
    return text + f"{score_table(unsaid)}\n\nReport   {done.run.page}\nModel    {done.run.model_folder}\n"


def _draw(names: list[str], out: Path, *, seed: int, as_json: bool, quiet: bool) -> None:
    """Only the scans: into the folder itself for one name, else into one folder a name."""
    from segwright.api.demo import draw_data
    from segwright.cli.output import emit
    from segwright.cli.screen import Screen
    from segwright.core.errors import UsageError

    folders = {name: out if len(names) == 1 else out / name for name in names}
    taken = [folder / "scans" for folder in folders.values() if (folder / "scans").exists()]
    if taken:
        raise UsageError("The folder already holds scans.", where=taken[0], hint="Give another folder with -o.")
    with Screen("Drawing phantoms", quiet=quiet) as screen:
        for name, folder in folders.items():
            draw_data(name, folder, seed=seed, listen=screen.listen)
    text = "\n".join(
        f"{name}: scans in {folder / 'scans'}, more in {folder / 'held-out'}" for name, folder in folders.items()
    )
    emit({name: str(folder) for name, folder in folders.items()}, text, as_json=as_json)


def _list(as_json: bool) -> None:
    """What can be shown, and with which recipe."""
    from segwright.api.demo import SHOWS
    from segwright.cli.output import emit
    from segwright.phantoms import PHANTOMS
    from segwright.phantoms.layouts import STYLES, USUAL

    shows = {
        n: {"phantom": s.phantom, "recipe": s.recipe, "about": s.about, "minutes": s.minutes} for n, s in SHOWS.items()
    }
    phantoms = {name: STYLES.get(name, USUAL).about for name in PHANTOMS}
    lines = ["Systems on scans of their kind: segwright demo NAME", ""]
    lines += [f"  {name:14}{show['about']} ({show['recipe']})" for name, show in shows.items()]
    lines += ["", "Any phantom with the default recipe, or with -r RECIPE:", ""]
    lines += [f"  {name:18}{about}" for name, about in phantoms.items()]
    lines += ["", "segwright demo NAME --only-data -o FOLDER draws the scans and stops."]
    emit({"demos": shows, "phantoms": phantoms}, "\n".join(lines), as_json=as_json)

"""Command lines as other tools want them: answered with how they are written here."""

from collections.abc import Mapping, Sequence

from pipeline.base.errors import nearest

RUN = "run RECIPE"
VERBS = {
    f"{RUN}, which trains, measures and exports": "train fit training finetune",
    "evaluate RECIPE, which measures its last model, or those named behind it": "val validate eval test",
    "predict MODEL FILES...": "detect infer inference classify segment demo",
    f"{RUN}, the same as before: it goes on from the last checkpoint": "resume",
    "preview RECIPE": "visualize visualise",
    "ls STORE": "list runs",
}
"""What to type -> the verbs of other tools that it answers."""
SEARCHES = ("tune", "search", "sweep", "optimize")
RECIPES = (".yaml", ".yml")


def answer(typed: Sequence[str], verbs: Mapping[str, Sequence[str] | None]) -> str | None:
    """Return what to type instead, in a sentence; None for a line that is right, or wrong in other ways.

    typed: what stands behind `python -m pipeline`
    verbs: each with its options; None for one that takes no `key=value`
    """
    verb, *rest = typed
    if verb not in verbs:
        return _verb(verb, rest)
    options = verbs[verb]
    return _option(rest, options) if options else None


def _verb(verb: str, rest: Sequence[str]) -> str | None:
    if verb.endswith(RECIPES):
        return f"a verb is missing; write python -m pipeline run {verb}"
    if verb in SEARCHES:
        return f"there is no verb {verb!r}; write python -m tune RECIPE"
    for right, others in VERBS.items():
        if verb.lower() in others.split():
            recipe = next((text for text in rest if text.endswith(RECIPES)), "RECIPE")
            return f"there is no verb {verb!r}; write python -m pipeline {right.replace('RECIPE', recipe)}"
    return None


def _option(rest: Sequence[str], options: Sequence[str]) -> str | None:
    """Answer an option that the verb does not have, where it may be meant as a key of the recipe."""
    for place, text in enumerate(rest):
        name, equals, value = text.partition("=")
        if text == "--" or name in options or not name.startswith("--"):
            continue
        from pipeline.recipe import guesses  # which takes half a second, and a line that is right needs none

        key = name.removeprefix("--")
        if not equals and (after := rest[place + 1 : place + 2]) and not after[0].startswith("-"):
            value = after[0]
        right = f"write {key}={value or '...'}" if key in guesses.every_key() else guesses.answer(key, value)
        if not right and nearest(name, options):  # a misspelt option
            continue
        more = f"; {right}" if right else ""
        return f"there is no option {name}: a change of the recipe is written key=value, without dashes{more}"
    return None

"""One rewrite of the command line before Typer sees it.

`--symbols BTCUSDT ETHUSDT` takes several values after one flag, which Typer cannot, and so does `--feeds`; and
`bt --strategy ...`, options without a command, means `bt run`.
"""

_LIST_OPTIONS = ("--symbols", "--feeds")
_LIST_COMMANDS = (["run"], ["check"], ["sweep"], ["download"], ["data", "rules"])
_ROOT_OPTIONS = ("--help", "-h", "--version", "--install-completion", "--show-completion")


def rewritten(argv: list[str]) -> list[str]:
    """Return the arguments with lists joined by commas and `run` put in where it is meant."""
    if argv and argv[0].startswith("-") and argv[0] not in _ROOT_OPTIONS:
        argv = ["run", *argv]
    if not any(argv[: len(command)] == command for command in _LIST_COMMANDS):
        return argv
    result: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*result, word, *rest]
        if word not in _LIST_OPTIONS:
            result.append(word)
            continue
        values = []
        while rest and not rest[0].startswith("-"):
            values.append(rest.pop(0))
        result.extend([word, ",".join(values)] if values else [word])
    return result


def split_list(values: list[str]) -> list[str]:
    """Return the single values of an option that was repeated or written with commas."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]

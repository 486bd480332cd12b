"""`bt bench`: how fast, measured."""

import typer

bench_app = typer.Typer(help="Measure speed.", no_args_is_help=True, rich_markup_mode=None)


@bench_app.callback()
def root() -> None:
    """Measure speed."""

"""`bt data`: what the lake holds, how much it can be trusted, and how rows get in and out."""

import typer

from backtester.cli.data_check import gaps_command, verify_command
from backtester.cli.data_diff import diff_command
from backtester.cli.data_import import capture_command, import_command, sample_command
from backtester.cli.data_keep import export_command, rebuild_command, remove_command
from backtester.cli.data_look import list_command, show_command
from backtester.cli.data_repair import repair_command

data_app = typer.Typer(help="The data lake: import files, look at them, check and remove them.", no_args_is_help=True)

data_app.command("import")(import_command)
data_app.command("capture")(capture_command)
data_app.command("sample")(sample_command)
data_app.command("ls")(list_command)
data_app.command("show")(show_command)
data_app.command("verify")(verify_command)
data_app.command("gaps")(gaps_command)
data_app.command("diff")(diff_command)
data_app.command("repair")(repair_command)
data_app.command("export")(export_command)
data_app.command("rebuild")(rebuild_command)
data_app.command("rm")(remove_command)

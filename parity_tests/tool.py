"""The console command, called from a test."""

from jaxgen import cli


def command(*words):
    """-> the exit code."""
    try:
        cli.main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code or 0
    return 0

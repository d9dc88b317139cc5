"""Errors that a command reports to the user."""


class CommandError(Exception):
    """A command cannot do what was asked for; the text is one clear line."""

    status = 2
    """The exit status of the command."""


class CannotWriteError(CommandError):
    """The output cannot be written where it was wanted."""


class UsageError(CommandError):
    """The user asked for something impossible."""

"""Errors that a command reports to the user."""


class UsageError(Exception):
    """The user asked for something impossible; the text is one clear line."""

"""What a command answers to what cannot be done."""


class UsageError(Exception):
    """The user asked for something that cannot be; the text is one clear line."""

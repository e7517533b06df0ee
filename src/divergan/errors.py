"""What a person can put right: shown as one message without a traceback, exit code 2."""


class DivergaNError(Exception):
    """Says what is wrong, where, what was expected and what to do."""

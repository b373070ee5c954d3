"""The one exception that is written for people."""


class JamError(ValueError):
    """Bad input from outside: one line that says where, what is wrong and what would be right.

    Commands print it as ``error: ...`` and end with exit code 2; in a notebook it is an ordinary ValueError.
    """


class Interrupted(Exception):
    """Ctrl-C or SIGTERM came; the run is saved, and the same command goes on with it."""

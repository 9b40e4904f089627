"""The version of Signet, in one place."""

__version__ = "0.1.0"

"""The package version, alone in a module so that importing it costs nothing."""

__version__ = "0.1.0"

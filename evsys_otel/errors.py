"""The exception tree, and nothing else.

::

    EvsysOtelError
    ├── ConfigurationError   a setting, argument or URL that cannot be used (also a ValueError)
    ├── JournalError         a journal cannot be created, read or locked
    ├── StoreError           the store answered with an error
    │   ├── StoreUnavailable   may heal by waiting: locked, connection refused
    │   ├── StoreVersionError  the database was written by a newer version of this package
    │   └── NotFoundError      no record of that id (also a KeyError)
    └── HandleError          a string that is not a run or experiment handle (also a ValueError)

Every message is one sentence that names the input, the rule and the mend, and holds no credential.
"""

from __future__ import annotations


class EvsysOtelError(Exception):
    """Root of every exception that this package raises on purpose."""


class ConfigurationError(EvsysOtelError, ValueError):
    """A setting, argument or URL cannot be used; raised before any work is done."""


class JournalError(EvsysOtelError):
    """A journal cannot be created, read or locked."""


class StoreError(EvsysOtelError):
    """The store answered with an error that waiting does not heal."""


class StoreUnavailable(StoreError):  # noqa: N818 (a state, not a mistake)
    """The store cannot be reached or is locked; the same call may succeed later."""


class StoreVersionError(StoreError):
    """The database's schema is newer than this package knows."""


class NotFoundError(StoreError, KeyError):
    """No record has that id or unique prefix."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class HandleError(EvsysOtelError, ValueError):
    """A string is not the handle of a run or an experiment."""

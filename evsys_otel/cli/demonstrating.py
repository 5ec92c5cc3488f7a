"""The demo's training in; afterwards what `ls` and `show` say of it, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

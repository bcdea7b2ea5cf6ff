"""Says in one line why a file could not be written."""

from __future__ import annotations

import errno


def say_why(error: OSError) -> str:
    """Returns the reason and, where there is one, the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space left on the disk; free some or write elsewhere"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{(error.strerror or 'not allowed').lower()}; choose a folder that you may write to"
    return (error.strerror or str(error)).lower()

"""urllib3-future, which `pip install niquests` puts in urllib3's place: another library, which poolscope leaves alone."""

from __future__ import annotations

import sys
from typing import Final

NAME: Final = "urllib3-future"


def has_replaced_urllib3() -> bool:
    """Whether what the program imports as ``urllib3`` is urllib3-future: only that has answers that come later."""
    return hasattr(sys.modules.get("urllib3"), "ResponsePromise")

"""Digests that tell whether two JSON values are the same."""

import hashlib
import json
from typing import Any


def canonical_digest(value: Any) -> str:
    """SHA-256 of a JSON value in hexadecimal, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()

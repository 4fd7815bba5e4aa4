"""Keeping credentials out of whatever a person or a log file gets to see."""

import contextlib
import os
import re
from urllib.parse import unquote, unquote_plus, urlsplit

HIDDEN = "***"
# What MLflow and the clients of its artifact stores are given secrets by.
_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "DATABRICKS_TOKEN",
)
_SECRET_KEY = re.compile(r"pass|pwd|token|secret|key|sig", re.IGNORECASE)
# user:password@ of any address, also of one that is not the store's, such as a proxy.
_LOGIN = re.compile(r"[^\s/:@'\"]*:[^\s/@]+@")


def redact(text: str, uri: str = "") -> str:
    """Return a text without the credentials that the store's address and the environment hold.

    Args:
        text: such as an error's message.
        uri: the store's address; its user, password and secret query values are hidden, as they
            stand and decoded.

    """
    found = {os.environ.get(name, "") for name in _VARIABLES}
    # A user may have typed anything: what cannot be taken apart is hidden by its pattern.
    with contextlib.suppress(ValueError):
        parts = urlsplit(uri)
        pairs = [pair.partition("=") for pair in parts.query.split("&")]
        found |= {value for name, _, value in pairs if _SECRET_KEY.search(name)}
        found.add(parts.password or "")
    found |= {unquote_plus(secret) for secret in found} | {unquote(secret) for secret in found}
    # The longest first, lest a part of it be hidden and the rest stay; and no common short word.
    for secret in sorted(filter(None, found), key=len, reverse=True):
        if len(secret) > 2:
            text = text.replace(secret, HIDDEN)
    return _LOGIN.sub(f"{HIDDEN}@", text)

"""Where weights come from: the package, the cache, the mirror, and last the hub.

`obtain` is the one way in. It returns a file whose sha256 was checked, and says what that digest is worth:
pinned (somebody stated it beforehand), locked (taken at the first download and held ever since) or unknown.

    names ── what a name may be, and where in a folder it lies
    weights ── the nouns: `Remote`, `WeightFiles`, `Patience`
    digests ── sha256 of a file, remembered while the file does not change
    folders ── package, mirror and any folder of weights
    cache ── what was downloaded, with the digest that it is held to
    offers ── asking a hub what it has
    failures ── what a network says, in words of ours, and what is worth another try
    download ── fetching the bytes: resumed, retried, measured
    obtaining ── all of it in order
"""

from __future__ import annotations

from signet.hub.cache import in_cache, list_cache
from signet.hub.folders import in_folder, in_mirror, in_package, list_mirror, list_package
from signet.hub.names import check_name
from signet.hub.obtaining import obtain
from signet.hub.weights import Patience, Remote, WeightFiles, Where

__all__ = [
    "Patience",
    "Remote",
    "WeightFiles",
    "Where",
    "check_name",
    "in_cache",
    "in_folder",
    "in_mirror",
    "in_package",
    "list_cache",
    "list_mirror",
    "list_package",
    "obtain",
]

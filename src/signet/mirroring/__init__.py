"""A mirror: the folder that a site without a network needs, made where there is one.

signet.mirroring.pull(["timm/resnet18.a1_in1k"], to="mirror")     # carry the folder over
signet.mirroring.verify("mirror")                                 # there, with SIGNET_MIRROR=mirror

manifest ── the nouns, and `mirror.json`: what a mirror holds, held to digests
planning ── from names to what is there, what this machine has, and what must be downloaded
staging ── one model made ready beside the others, whole before it gets its name
pulling ── all of it in order, one model after the other
verifying ── every byte again
contents ── what a mirror holds, for people
"""

from __future__ import annotations

from signet.mirroring.contents import Held, contents
from signet.mirroring.manifest import MirroredFile, MirroredModel
from signet.mirroring.pulling import Pulled, PulledModel, pull
from signet.mirroring.verifying import Checked, CheckedModel, verify

__all__ = [
    "Checked",
    "CheckedModel",
    "Held",
    "MirroredFile",
    "MirroredModel",
    "Pulled",
    "PulledModel",
    "contents",
    "pull",
    "verify",
]

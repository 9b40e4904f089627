"""The audit of a dataset: what is wrong in it, with evidence, how severe, and what mends it.

observing ── one pass over the files: readable or not, fingerprint, looks
files, copies, groups, names, balance, resolution, annotations ── what is wrong, one family of kinds each
placement ── boxes that were not mirrored or turned with their images
suspects, drift ── what only features show: labels that are probably wrong, splits of different kind
kinds ── the table of kinds, each with its severity and its rule
inspection ── `audit`: all of it
mending ── `mended`: the sound rows of a dataset, and `write_table`
"""

from signet.auditing.inspection import AuditSettings, audit
from signet.auditing.kinds import KINDS, Kind
from signet.auditing.mending import Mended, check_table, mended, write_table

__all__ = ["KINDS", "AuditSettings", "Kind", "Mended", "audit", "check_table", "mended", "write_table"]

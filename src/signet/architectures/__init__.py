"""Networks that no library has.

Each file here imports torch at its top, so nothing else in the package may import one at import time.
"""

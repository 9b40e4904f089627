"""Networks that no library has.

Each file that builds one imports torch at its top, so nothing else in the package may import it at import
time; the table (`catalogue`) and the names (`building`) load without torch.
"""

"""Zoos: where pretrained models come from. One file each; no zoo knows another."""

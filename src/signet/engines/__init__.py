"""Engines: what runs a network. One file each, one contract, none knows another."""

"""Signet: pretrained vision models that can be trusted at every joint."""

"""The catalogue: which pretrained models there are, as data."""

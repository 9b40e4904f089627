"""Whether Signet answers as each peer does, with the same weights, on the same images, to the last bit.

cases ── which architectures
alive ── random weights that keep a network's answers apart
peers_* ── each library's own way from a weight file to logits, and from an image to pixels
comparing ── both ways side by side, and what they differ by
"""

"""One detector in several programs: do they decide alike, and which is the faster?

weights ── one state dict in Signet and in the ultralytics package
systems ── each program's own way from image files to lines of JSON, in a process of its own
comparing ── the boxes of two programs side by side
reporting ── rates, ratios and decisions as Markdown
"""

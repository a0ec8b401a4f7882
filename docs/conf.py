"""Sphinx: Markdown pages by MyST, the furo theme."""

project = "Stillroom"
author = "The Stillroom authors"
copyright = "2026, the Stillroom authors"
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Stillroom"

"""Diagrams of templates, programs and operations, as SVG, or as PNG with the extra `pictures`."""

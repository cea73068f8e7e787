"""Pictures of templates, programs and operations: as SVG, and as PNG with the extra `pictures`."""

"""Diagrams of templates and programs as Mermaid, DOT and pictures by Graphviz; timelines of operations as text and HTML."""

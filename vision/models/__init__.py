"""The networks that recognise: what there is, where it came from, and how it is loaded."""

"""Faces: found, judged, compared with a document's or with enrolled staff; kept to the box."""

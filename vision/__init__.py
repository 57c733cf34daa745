"""Cameras and what is recognised in their pictures.

Importing this package costs nothing: the agent pays for no OpenCV, dlib or NumPy, which live in the
processes of cameras, and those pay for nothing of the agent's.
"""

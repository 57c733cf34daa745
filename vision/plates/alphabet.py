"""The characters of Chinese number plates (GA 36-2018), in the order of the reader's classes."""

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
"""The 31 one-character names of provinces."""
DIGITS = "0123456789"
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Of serial numbers: neither I nor O."""
AUTHORITY_O = "O"
"""Stands for the police as an authority on old plates; nowhere else."""
SUFFIXES = "警学挂港澳使领应急民航"
"""Characters of special plates."""

CHARACTERS = DIGITS + LETTERS + AUTHORITY_O + PROVINCES + SUFFIXES
"""Class ``i + 1`` of the reader is ``CHARACTERS[i]``; class 0 is "no character here"."""
MAX_LENGTH = 8
"""Characters of the longest plate."""

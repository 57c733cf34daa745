"""The daemon: puts the rooms together, keeps them alive, and answers the person on site."""

VERSION = "0.1.0"

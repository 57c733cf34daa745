"""The local door: HTTP on a Unix socket, for the business application and the person on site."""

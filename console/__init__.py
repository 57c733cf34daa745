"""The operator's side: ``kioskctl``."""

"""What commands can ask for, one module each."""

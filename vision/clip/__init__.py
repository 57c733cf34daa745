"""Short clips for the demonstration, drawn by the project itself."""

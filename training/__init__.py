"""How the shipped models are made: synthetic plates, training, export, evaluation."""

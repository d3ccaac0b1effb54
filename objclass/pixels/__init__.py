"""Pixel classification: filters, channels in ilastik's order, forests, probabilities that are read by region."""

"""Compares the shipped models with other methods of stain normalisation, on the same pixels in one run."""

"""One module an extractor, behind the Extractor Protocol of `base`."""

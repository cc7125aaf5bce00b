"""One module a data set, behind the Dataset Protocol of `base`."""

"""One module a linker, behind the Linker Protocol of `base`."""

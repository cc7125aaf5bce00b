"""The stages: what a command does, as functions that a notebook can call too."""

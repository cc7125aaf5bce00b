"""Scores of annotations against a reference, each with n and a bootstrap interval."""

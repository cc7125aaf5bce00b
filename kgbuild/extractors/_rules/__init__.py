"""The stages of the ``rules`` extractor, each a module that can be tested alone.

lexicon → sentences → tagging → chunking → scopes → relations; ``engine`` runs them. See each module's docstring.
"""

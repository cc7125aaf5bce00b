"""Torch modules and what runs them: language models, projector, image encoders, generation. Imported when needed."""

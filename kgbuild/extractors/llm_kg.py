"""The ``llm-kg`` extractor: a language model tuned to write a report's triplets.

Source: Abdullah & Kim, VLM-KG: Multimodal Radiology Knowledge Graph Generation, the text-only model.
"""

from kgbuild.extractors._llm_kg import LanguageExtractor


class LlmKgExtractor(LanguageExtractor):
    """Reads reports only; see ``LanguageExtractor``."""


PLUGIN = LlmKgExtractor

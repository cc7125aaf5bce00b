"""kgbuild: chest X-ray studies into a knowledge graph that people can query, check, publish and trust."""

__version__ = "0.1.0"

"""Small helpers shared by the lessons of the DistilBERT course."""

__version__ = "0.1.0"

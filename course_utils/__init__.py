"""Small helpers shared by the lessons of the DistilBERT course."""

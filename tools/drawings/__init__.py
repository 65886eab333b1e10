"""The drawings of each lesson: a module a lesson, with its ``DRAWINGS`` (name of the file -> function)."""

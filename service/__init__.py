"""The course's classifier as a service; README.md says how to start and call it."""

"""Training, reading and searching in several processes; README.md says how to start them."""

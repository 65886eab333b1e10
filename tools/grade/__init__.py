"""Grade submissions: student code runs alone in a sandbox, nbgrader keeps the books."""

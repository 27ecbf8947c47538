"""One test for each class of published advisory that struck servers like this one; each has been seen red once."""

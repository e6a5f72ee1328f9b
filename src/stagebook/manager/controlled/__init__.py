"""What the testing API controls below the APIs: the clock, the randomness of ids, and the keys of its tokens."""

"""Drawing: the pictures of the publishers on one canvas."""

"""How the packets of a track reach its viewers: in batches, paced, each batch with few system calls for each viewer."""

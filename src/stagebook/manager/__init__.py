"""The stage manager: the only writer. Facts in, events and new state committed together, then the answer."""

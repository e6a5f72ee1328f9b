"""The part `retention`: deletion by age beside appends."""

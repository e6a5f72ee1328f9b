"""The rules of a stage session. Each fact is decided by one function; the table is in `decide.py`."""

"""The program of a composition: pictures and sound at the pace of one clock, whatever the participants do."""

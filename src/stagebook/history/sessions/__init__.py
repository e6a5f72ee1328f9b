"""Reports of stage sessions: who was there, when and how long, who published, who watched whom, and what failed."""

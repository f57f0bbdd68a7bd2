"""The main job, end to end: real exams and attacks, each with the guard in line and on a plain wire."""
